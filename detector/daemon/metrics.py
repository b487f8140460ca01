"""Every metric of the daemon, in one place; names follow Prometheus' conventions and label sets are bounded.

A counter with labels is there with 0 before its first event: Prometheus takes the first value that it sees as the base,
so an event that a counter is born with would never show.
"""

from collections.abc import Mapping
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from detector.core.outcome import LONG_VALUE_OUTCOMES, Outcome
from schemas.alert import AlertKind, AlertState, Severity
from schemas.feed import CellFault, Reason, RowFlag

RELOAD_RESULTS = ("taken", "refused")


class Metrics:
    """The daemon's metrics on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = self._counter, self._gauge
        self.records = counter("records", "Records taken from the input")
        self.scored = counter("windows_scored", "Windows scored")
        self.rows = counter("rows_flagged", "Rows by what happened to them (schemas.feed.RowFlag)", ["flag"])
        self.assembly = counter(
            "long_values",
            "Values of long records that are in no row as they came, or whose row did not wait its time",
            ["outcome"],
        )
        self.cells = counter("cells", "Cells of watched assets that were no plain number", ["reason"])
        self.dead_letters = counter("dead_letters", "Records that could not be read", ["reason"])
        self.alerts = counter("alerts", "Alerts sent", ["state", "kind", "severity"])
        self.requests = counter("retrain_requests", "Retrain requests sent on drift", ["model"])
        self.swaps = counter("model_swaps", "Models taken up without a restart", ["model"])
        self.refusals = counter("model_refusals", "Published bundles that were refused", ["model"])
        self.reloads = counter("config_reloads", "Configuration reloads", ["result"])
        self.bad_control = counter("control_refused", "Control messages that could not be read")
        self.gap_records = counter("gap_records", "Offsets that retention or corruption took before they were read")
        self.interruptions = counter("interruptions", "Deliveries, commits or polls that failed and are tried again")
        self.recoveries = counter("recoveries", "Times that work began again at the last checkpoint")
        self.commits = counter("commits", "Checkpoints committed")
        self.assets = gauge("assets_watched", "Assets with state", ["model"])
        self.open_incidents = gauge("incidents_open", "Open incidents", ["model", "kind"])
        self.partitions = gauge("partitions_assigned", "Partitions this member reads")
        self.model = gauge("model_info", "1 for the version in use", ["model", "version"])
        self.newest = gauge("event_time_newest_seconds", "Newest event time seen, seconds since 1970")
        self.unwatched = gauge("assets_unwatched", "Assets seen that no rule names (counted up to 1000)")
        self.lag = gauge("lag_records", "Records of the input not read yet, where the broker says", ["partition"])
        self.tick = Histogram(
            "watchkeeper_tick_seconds",
            "Time from a poll's return to the end of its tick: outputs handed over, state committed when due",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
            registry=self.registry,
        )
        self._lagging: set[str] = set()  # partitions whose lag is shown
        self._begin()

    def begin_model(self, model: str) -> None:
        """A model is in use: its counters are there from now on."""
        for counter in (self.requests, self.swaps, self.refusals):
            counter.labels(model)
        for kind in AlertKind:
            self.open_incidents.labels(model, kind.value)
        self.assets.labels(model)

    def show_lag(self, lags: Mapping[int, int]) -> None:
        """Partition -> records; partitions that are not named are another member's."""
        named = {str(partition): records for partition, records in lags.items()}
        for partition in self._lagging - named.keys():
            self.lag.remove(partition)
        for partition, records in named.items():
            self.lag.labels(partition).set(records)
        self._lagging = set(named)

    def observe(self, outcome: Outcome) -> None:
        """Counts what a poll gave."""
        self.records.inc(outcome.records)
        self.scored.inc(outcome.scored)
        for flag, count in outcome.flags.items():
            if count:
                self.rows.labels(str(flag.name).lower()).inc(count)
        for what, count in outcome.assembly.items():
            if count:
                self.assembly.labels(what).inc(count)
        for (_, fault), count in outcome.cell_faults.items():
            self.cells.labels(fault.value).inc(count)
        for rejected in outcome.dead_letters:
            self.dead_letters.labels(rejected.reason.value).inc()
        for alert in outcome.alerts:
            self.alerts.labels(alert.data.state.value, alert.data.kind.value, alert.data.severity.value).inc()
        for request in outcome.requests:
            self.requests.labels(request.model).inc()

    def _begin(self) -> None:
        """Every label set that is known before anything happens."""
        for flag in RowFlag:
            self.rows.labels(str(flag.name).lower())
        for what in LONG_VALUE_OUTCOMES:
            self.assembly.labels(what)
        for fault in CellFault:
            self.cells.labels(fault.value)
        for reason in Reason:
            self.dead_letters.labels(reason.value)
        for state, kind, severity in product(AlertState, AlertKind, Severity):
            self.alerts.labels(state.value, kind.value, severity.value)
        for result in RELOAD_RESULTS:
            self.reloads.labels(result)

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"watchkeeper_{name}", text, labels or [], registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"watchkeeper_{name}", text, labels or [], registry=self.registry)
