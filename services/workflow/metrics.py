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
        self.partitions = Gauge(
            "agentic_engine_partitions", "Partitions whose executions this process decides.", registry=registry
        )
        self.partition = Gauge(
            "agentic_engine_partition", "1 if this process owns the partition.", ["partition"], registry=registry
        )
        self.partition_moves = Counter(
            "agentic_engine_partition_moves", "Partitions taken and given.", ["direction"], registry=registry
        )
        self.adoption_seconds = Histogram(
            "agentic_engine_adoption_seconds",
            "Time from the claim of a few partitions until their executions go on.",
            registry=registry,
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        )
        self.handed_over = Counter(
            "agentic_engine_commands_handed_over", "Commands given to the process that owns the execution.",
            registry=registry,
        )  # fmt: skip
        self.astray = Counter(
            "agentic_engine_results_astray", "Results of executions of another process.", ["outcome"], registry=registry
        )


class TriggerMetrics:
    """Of what starts executions by itself. Labels are bounded: outcomes are ours, and no tenant or workflow is one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.schedule_runs = Counter(
            "agentic_schedule_runs",
            "Moments of schedules, by what became of them: started, condition_false, refused.",
            ["outcome"],
            registry=registry,
        )
        self.schedule_moments_passed_over = Counter(
            "agentic_schedule_moments_passed_over",
            "Times that moments were missed and not made up for: skipped (as the trigger says), cut (too many).",
            ["why"],
            registry=registry,
        )
        self.schedule_delay_seconds = Histogram(
            "agentic_schedule_delay_seconds",
            "From a moment of a schedule until its run was durable.",
            registry=registry,
            buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400),
        )
        self.webhook_requests = Counter(
            "agentic_webhook_requests",
            "Requests to webhooks, by outcome: accepted, condition_false, or the code of the refusal.",
            ["outcome"],
            registry=registry,
        )


class RetentionMetrics:
    """Of the archive and of the log's periods."""

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
        self.periods = Gauge("agentic_event_periods", "Periods of the log.", registry=registry)
        self.periods_ahead = Gauge(
            "agentic_event_periods_ahead_seconds",
            "Time until the last period of the log ends: alarm below a day.",
            registry=registry,
        )
        self.periods_dropped = Counter(
            "agentic_event_periods_dropped", "Periods of the log that were dropped.", registry=registry
        )
