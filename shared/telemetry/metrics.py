"""Every metric of what services share."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """Of a worker of tasks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tasks = Counter("agentic_worker_tasks", "Tasks that came, by what became of them.", ["fate"],
                             registry=registry)  # fmt: skip
        self.tasks_held = Gauge("agentic_worker_tasks_held", "Tasks that are being worked on.", ["subject"],
                                registry=registry)  # fmt: skip
        self.messages_refused = Counter(
            "agentic_worker_messages_refused", "Messages that are no list of tasks.", registry=registry
        )
        self.results_lost = Counter(
            "agentic_worker_results_lost", "Results that could not be published; the engine asks again.",
            registry=registry,
        )  # fmt: skip
