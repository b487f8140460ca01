"""The worker's health and figures, and its way of saying how a training goes."""

import time
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.config import Settings
from trainer.parallel.progress import LINE_EVERY_S, EpochEnded, FitBegan, FitEvent

IDLE_STALLED_S = 60.0  # it looks for requests twice a second, and a commit may wait for the broker
TRAINING_STALLED_S = 3600.0  # a training says a word at each epoch; calibration and export say none


class WorkerMetrics:
    """What the worker counts, for /metrics."""

    def __init__(self, settings: Settings) -> None:
        self.registry = registry = CollectorRegistry()
        self.decisions = Counter(
            "watchkeeper_worker_decisions", "Requests answered, by what came of them", ["model", "decision"],
            registry=registry,
        )  # fmt: skip
        self.passed_over = Counter(
            "watchkeeper_worker_passed_over", "Requests that asked for nothing new", registry=registry
        )
        self.training = Gauge("watchkeeper_worker_training", "1 while a request is being answered", registry=registry)
        self.last = Gauge(
            "watchkeeper_worker_last_decision_seconds", "Clock time of the newest decision, s since 1970; 0: none",
            registry=registry,
        )  # fmt: skip
        self.epochs = Counter("watchkeeper_worker_epochs", "Epochs that ended, of all networks", registry=registry)
        for model in {rule.model for rule in settings.watch}:
            for decision in ("model_published", "model_rejected"):
                self.decisions.labels(model, decision)


@dataclass(slots=True)
class WorkerHealth:
    """How the worker is doing; its loop writes it, HTTP reads it."""

    metrics: WorkerMetrics
    models: dict[str, str] = field(default_factory=dict)  # model -> the version of its last decision
    partitions: int = 0  # 1 once it reads requests
    training: bool = False
    advanced: float = field(default_factory=time.monotonic)
    _line_at: float = 0.0

    def idle(self) -> None:
        """It looks for requests."""
        self.partitions, self.advanced = 1, time.monotonic()

    def begin(self) -> None:
        """A request is taken up."""
        self._train(training=True)

    def end(self, model: str, version: str | None, decision: str) -> None:
        """A request was answered."""
        self._train(training=False)
        self.metrics.decisions.labels(model, decision).inc()
        self.metrics.last.set(time.time())
        if version is not None:
            self.models[model] = version

    def on_progress(self, event: FitEvent) -> None:
        """Takes note of a step of a training, and logs one every few seconds."""
        self.advanced = now = time.monotonic()
        if isinstance(event, EpochEnded):
            self.metrics.epochs.inc()
        if isinstance(event, FitBegan) or now < self._line_at:
            return
        self._line_at = now + LINE_EVERY_S
        if isinstance(event, EpochEnded):
            structlog.get_logger().info("progress", fit=event.name, epoch=event.epoch + 1, loss=round(event.train, 6))

    @property
    def alive(self) -> bool:
        """It looks for requests, or a training moves."""
        return time.monotonic() - self.advanced < (TRAINING_STALLED_S if self.training else IDLE_STALLED_S)

    @property
    def reasons(self) -> list[str]:
        """Why it takes no request; one that trains does its work."""
        found = {"no request was looked for yet": self.partitions == 0, "nothing moves": not self.alive}
        return [reason for reason, holds in found.items() if holds]

    def _train(self, *, training: bool) -> None:
        self.training, self.advanced = training, time.monotonic()
        self.metrics.training.set(int(training))
