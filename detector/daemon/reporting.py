"""What the loop reports of its work: metrics, health, one canonical log line every ten seconds, and a line an alert."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from detector.core.ingest.rows import CellFaults
from detector.core.outcome import Outcome
from detector.core.scoring import Scorer
from detector.core.tally import Fault
from detector.core.watch import Watch
from detector.daemon.health import Health
from detector.daemon.metrics import Metrics
from detector.errors import RetriableError, one_line
from schemas.alert import AlertKind

_LOG_EVERY_S = 10.0
_SENSORS_NAMED = 5  # lines about cells, each time


@dataclass(slots=True)
class _TickTotals:
    """What happened since the last canonical log line."""

    ticks: int = 0
    records: int = 0
    scored: int = 0
    alerts: int = 0
    dead_letters: int = 0
    cell_faults: CellFaults = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.ticks += 1
        self.records += outcome.records
        self.scored += outcome.scored
        self.alerts += len(outcome.alerts)
        self.dead_letters += len(outcome.dead_letters)
        self.cell_faults += outcome.cell_faults


class Reporter:
    """Writes metrics, health and log lines. `now` is a monotonic time in seconds."""

    def __init__(self, metrics: Metrics, health: Health, now: float) -> None:
        self._metrics, self._health = metrics, health
        self._log = structlog.get_logger()
        self._totals, self._log_at = _TickTotals(), now + _LOG_EVERY_S
        self._lags: Mapping[int, int] = {}

    def tick(self, outcome: Outcome, watch: Watch, arrived: float, now: float) -> None:
        """A tick is done. arrived: when its poll returned."""
        self._health.advanced = now
        self._metrics.observe(outcome)
        if outcome.records:
            self._metrics.tick.observe(now - arrived)
        self._totals.add(outcome)
        for alert in outcome.alerts:
            data = alert.data
            self._log.info(
                "alert", state=data.state.value, kind=data.kind.value, asset=data.asset, severity=data.severity.value,
                incident=data.incident, message=data.message,
            )  # fmt: skip
        for request in outcome.requests:
            self._log.warning("drift", model=request.model, reason=request.reason, request=request.id)
        if now >= self._log_at:
            self._log_at = now + _LOG_EVERY_S
            self._canonical_line(watch, outcome.newest_s)

    def advanced(self) -> None:
        """Work goes on within a tick: a piece of state was read, or is waited for."""
        self._health.advanced = time.monotonic()

    def partitions(self, count: int, *, restoring: bool) -> None:
        """How many partitions this member has now. restoring: state of some is still to be read."""
        self._health.restoring = restoring
        self._health.partitions = count
        self._metrics.partitions.set(count)

    def blind(self, fault: Fault | None) -> None:
        """Nearly nothing of the feed is read or scored; None: it is. Told once, when it begins and when it is over."""
        problem = fault.problem if fault else ""
        if fault and not self._health.blind:
            self._log.warning("nearly nothing is scored", reason=fault.problem, remedy=fault.remedy)
        elif self._health.blind and not fault:
            self._log.info("records are scored again")
        self._health.blind = one_line(problem)

    def lag(self, lags: Mapping[int, int]) -> None:
        """Records that each partition holds beyond what was read; shown with the next canonical line."""
        self._lags = lags

    def assigned(self, partition: int, resumes_at: int | None, entries: int) -> None:
        """A partition's state is restored. resumes_at: where its checkpoint stands; None without one."""
        self.advanced()
        self._log.info("partition assigned", partition=partition, resumes_at=resumes_at, state_entries=entries)

    def committed(self, count: int) -> None:
        """A checkpoint of so many partitions is committed."""
        if count:
            self._metrics.commits.inc()

    def gaps(self, gaps: Mapping[int, tuple[int, int]]) -> None:
        """Records that nobody will ever score: an error, since nothing else will show that they are missing."""
        for partition, (begin, end) in gaps.items():
            self._metrics.gap_records.inc(end - begin)
            self._log.error(
                "records lost before they were read", partition=partition, first=begin, last=end - 1,
                remedy="raise the input's retention.ms, or give the watch more members",
            )  # fmt: skip

    def interrupted(self, error: RetriableError, pause_s: float, now: float) -> None:
        """Work stands still until the next try."""
        self._health.interrupted = error.problem
        self._health.advanced = now  # waiting for a broker is life: a restart would not bring it back
        self._metrics.interruptions.inc()
        self._log.warning("interrupted", reason=error.problem, remedy=error.remedy, next_try_s=pause_s)

    def recovered(self, partitions: int) -> None:
        """Work began again at the last checkpoint."""
        self._health.interrupted, self._health.restoring = "", False
        self._metrics.recoveries.inc()
        self._log.info("recovered", partitions=partitions)

    def bad_control(self, origin: str, reason: str) -> None:
        """A control message could not be read."""
        self._metrics.bad_control.inc()
        self._log.warning("control message refused", origin=origin, reason=reason)

    def swapped(self, scorer: Scorer, before: str) -> None:
        """A model was taken up between two polls. before: the version that it replaced."""
        manifest = scorer.manifest
        self._metrics.swaps.labels(manifest.model).inc()
        self._metrics.model.remove(manifest.model, before)
        self.models([scorer])
        self._log.info("model swapped", model=manifest.model, version=manifest.model_version, before=before)

    def models(self, scorers: Iterable[Scorer]) -> None:
        """The versions in use."""
        for scorer in scorers:
            name, version = scorer.manifest.model, scorer.manifest.model_version
            self._health.models[name] = version
            self._metrics.model.labels(name, version).set(1)
            self._metrics.begin_model(name)

    def _canonical_line(self, watch: Watch, newest_s: float) -> None:
        """The line of the last ten seconds, and the gauges that need counting."""
        totals, self._totals = self._totals, _TickTotals()
        for name, pipeline in watch.pipelines.items():
            self._metrics.assets.labels(name).set(len(pipeline.assets))
            for kind in AlertKind:
                self._metrics.open_incidents.labels(name, kind.value).set(pipeline.open_incidents(kind))
        self._metrics.unwatched.set(len(watch.unwatched))
        self._metrics.show_lag(self._lags)
        restored = [float(pipeline.arrivals.newest.max()) for pipeline in watch.pipelines.values()]
        newest_s = max([newest_s, *restored])  # a restart while the feed is dead reads nothing
        if newest_s > 0:
            self._metrics.newest.set(newest_s)
        self._log.info(
            "watching", ticks=totals.ticks, records=totals.records, scored=totals.scored, alerts=totals.alerts,
            dead_letters=totals.dead_letters, unwatched=len(watch.unwatched),
        )  # fmt: skip
        for (sensor, fault), count in totals.cell_faults.most_common(_SENSORS_NAMED):
            self._log.warning("cells not plain numbers", sensor=sensor, reason=fault.value, cells=count)
