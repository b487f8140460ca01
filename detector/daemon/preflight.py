"""What `watchkeeper check` looks at: bundles, broker, topics, rights. Looks only, changes nothing."""

from collections.abc import Iterator

from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from detector.errors import WatchkeeperError
from detector.transports.package import CheckResult, Status
from detector.transports.registry import transport_of
from schemas.config import Settings


def run_checks(settings: Settings, wait_s: float) -> Iterator[CheckResult]:
    """Every result, in the order in which a person would repair them. Blocks up to `wait_s` for a broker."""
    yield from _rules(settings)
    yield from _models(settings)
    yield from transport_of(settings).preflight(settings, wait_s)


def _failed(subject: str, error: WatchkeeperError) -> CheckResult:
    return CheckResult(Status.FAIL, subject, error.problem, error.remedy)


def _rules(settings: Settings) -> Iterator[CheckResult]:
    """A rule behind one that takes every asset is never reached."""
    for number, rule in enumerate(settings.watch[:-1]):
        if "*" in rule.assets:
            hidden = ", ".join(later.model for later in settings.watch[number + 1 :])
            problem = f"rule {number + 1} ({rule.model}) takes every asset, so {hidden} is never asked"
            yield CheckResult(Status.WARN, "watch", problem, "put the rule with '*' last")
            return


def _models(settings: Settings) -> Iterator[CheckResult]:
    try:
        store = Store.of(settings)
    except WatchkeeperError as error:
        yield _failed("store", error)
        return
    for model in dict.fromkeys(rule.model for rule in settings.watch):
        subject = f"model {model}"
        try:
            yield _model(store, subject, model)
        except WatchkeeperError as error:
            yield _failed(subject, error)


def _model(store: Store, subject: str, model: str) -> CheckResult:
    version = store.in_use(model)
    manifest = load_bundle(store, model, version).manifest
    shape = f"{len(manifest.sensors)} sensors, window of {manifest.window} rows, period {manifest.period_s:g} s"
    sound = f"version {version} is whole and passes its golden check"
    return CheckResult(Status.OK, subject, f"{sound}: {shape}; signature: {store.signature(model, version)}")
