"""The tenant service's metrics."""

from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """Counters by outcome: `accepted` or `refused`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.logins = Counter("agentic_tenant_logins", "Log-ins by password", ["outcome"], registry=registry)
        self.key_checks = Counter("agentic_tenant_key_checks", "API keys looked up", ["outcome"], registry=registry)
        self.connections = Counter(
            "agentic_tenant_nats_connections", "Tenants' connections to NATS", ["outcome"], registry=registry
        )
        self.secret_reads = Counter(
            "agentic_tenant_secret_reads", "Questions of services for secrets", ["outcome"], registry=registry
        )
