"""Every metric of the workflow service."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class EngineMetrics:
    """Of the engine's loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.commit_seconds = Histogram(
            "agentic_engine_commit_seconds",
            "Time of one engine commit.",
            registry=registry,
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
        )
        self.batch_events = Histogram(
            "agentic_engine_batch_events",
            "Events of one engine commit.",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
        )
        self.failed_batches = Counter(
            "agentic_engine_failed_batches", "Engine batches that could not be recorded.", registry=registry
        )
        self.dropped_items = Counter(
            "agentic_engine_dropped_items", "Items that the engine could not handle: each is a bug.", registry=registry
        )
