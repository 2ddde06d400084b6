"""Every metric of the workflow service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


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


class RetentionMetrics:
    """Of the archive and of the log's partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.archived = Counter("agentic_archived_executions", "Executions that were archived.", registry=registry)
        self.archived_bytes = Counter("agentic_archived_bytes", "Bytes that were archived.", registry=registry)
        self.failures = Counter(
            "agentic_archive_failures", "Archive objects that could not be written or settled.", registry=registry
        )
        self.planned = Gauge(
            "agentic_archive_planned_objects", "Archive objects that wait to be written.", registry=registry
        )
        self.too_large = Gauge(
            "agentic_archive_too_large_executions", "Executions that are too large to archive.", registry=registry
        )
        self.partitions = Gauge("agentic_event_partitions", "Partitions of the log by period.", registry=registry)
        self.partitions_ahead = Gauge(
            "agentic_event_partitions_ahead_seconds",
            "Time until the last partition of the log ends: alarm below a day.",
            registry=registry,
        )
        self.partitions_dropped = Counter(
            "agentic_event_partitions_dropped", "Partitions of the log that were dropped.", registry=registry
        )
