"""What `watchkeeper check` looks at: bundles, broker, topics, rights. Looks only, changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from detector.errors import WatchkeeperError
from detector.transports.interface import Stream
from detector.transports.kafka.admin import Admin, TopicFacts
from detector.transports.kafka.diagnosis import grant, who
from detector.transports.kafka.topics import RIGHTS, mismatches, names
from schemas.config import Kafka, Settings


class Status(StrEnum):
    """How a result ends; only FAIL makes the command fail."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at."""

    status: Status
    subject: str
    message: str
    remedy: str = ""


def run_checks(settings: Settings, wait_s: float) -> Iterator[CheckResult]:
    """Every result, in the order in which a person would repair them. Blocks up to `wait_s` for a broker."""
    yield from _rules(settings)
    yield from _models(settings)
    if settings.transport == "files":
        yield from _files(settings)
    else:
        yield from _names(settings)
        yield from _broker(settings, wait_s)


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
    store = Store.of(settings)
    for model in dict.fromkeys(rule.model for rule in settings.watch):
        subject = f"model {model}"
        try:
            yield _model(store, subject, model)
        except WatchkeeperError as error:
            yield _failed(subject, error)
        except OSError as error:
            problem = f"the store {store.url} cannot be read ({type(error).__name__})"
            yield CheckResult(Status.FAIL, subject, problem, "correct 'store' in the configuration, or its rights")


def _model(store: Store, subject: str, model: str) -> CheckResult:
    version = store.in_use(model)
    manifest = load_bundle(store, model, version).manifest
    shape = f"{len(manifest.sensors)} sensors, window of {manifest.window} rows, period {manifest.period_s:g} s"
    sound = f"version {version} is whole and passes its golden check"
    return CheckResult(Status.OK, subject, f"{sound}: {shape}; signature: {store.signature(model, version)}")


def _files(settings: Settings) -> Iterator[CheckResult]:
    directory = settings.files.directory
    if not directory.is_dir():
        problem = f"the directory {directory} does not exist"
        yield CheckResult(Status.FAIL, "files", problem, "create it, or correct files.directory")
        return
    feed = directory / f"{settings.topics.input}.jsonl"
    if settings.topics.input == "-" or feed.is_file():
        yield CheckResult(
            Status.OK, "files", f"the feed is {'standard input' if settings.topics.input == '-' else feed}"
        )
    else:
        yield CheckResult(Status.FAIL, "files", f"the feed {feed} does not exist", "write it, or correct topics.input")


def _names(settings: Settings) -> Iterator[CheckResult]:
    """Two streams on one topic would feed the daemon its own messages."""
    seen: dict[str, Stream] = {}
    for stream, name in names(settings).items():
        if name in seen:
            problem = f"topics.{seen[name]} and topics.{stream} are both {name}"
            yield CheckResult(Status.FAIL, "topics", problem, "give each a name of its own")
        seen[name] = stream


def _broker(settings: Settings, wait_s: float) -> Iterator[CheckResult]:
    try:
        with Admin(settings.kafka, wait_s) as admin:
            brokers = admin.brokers()
            answer = f"{brokers} broker{'s' * (brokers != 1)} at {settings.kafka.bootstrap_servers}"
            yield CheckResult(Status.OK, "broker", answer)
            found = admin.describe(names(settings).values())
            for stream, name in names(settings).items():
                yield from _topic(stream, name, found, settings)
            yield _group(settings.kafka, admin)
    except WatchkeeperError as error:
        yield _failed("broker", error)


def _topic(stream: Stream, name: str, found: dict[str, TopicFacts], settings: Settings) -> Iterator[CheckResult]:
    subject = f"topic {name}"
    facts = found.get(name)
    if facts is None:
        yield CheckResult(
            Status.FAIL,
            subject,
            f"the {stream} topic does not exist, or this login may not DESCRIBE it",
            "run: watchkeeper topics --create, or grant the right",
        )
        return
    wrong = mismatches(stream, facts, found, settings)
    for mismatch in wrong:
        yield CheckResult(Status.FAIL if mismatch.fatal else Status.WARN, subject, mismatch.problem, mismatch.remedy)
    lacking = [right for right in RIGHTS[stream] if facts.rights is not None and right not in facts.rights]
    for right in lacking:
        remedy = grant(right.capitalize(), "topic", name)
        yield CheckResult(Status.FAIL, subject, f"{who(settings.kafka)} may not {right} the {stream} topic", remedy)
    if not wrong and not lacking:
        rights = "rights unknown" if facts.rights is None else f"may {' and '.join(RIGHTS[stream])}"
        count = f"{facts.partitions} partition{'s' * (facts.partitions != 1)}"
        yield CheckResult(Status.OK, subject, f"{stream}, {count}, replication {facts.replication}, {rights}")


def _group(kafka: Kafka, admin: Admin) -> CheckResult:
    subject = f"group {kafka.group}"
    if admin.may_use_group(kafka.group):
        return CheckResult(Status.OK, subject, "its offsets can be read")
    problem = f"{who(kafka)} may not READ it, so no offset could be committed"
    return CheckResult(Status.FAIL, subject, problem, grant("Read", "group", kafka.group))
