"""What would keep the daemon from its broker: topics, rights, the group, whose state there is. Looks only."""

from collections.abc import Iterator

from detector.core.state.codec import Owner
from detector.errors import WatchkeeperError
from detector.transports.interface import Stream
from detector.transports.kafka.admin import Admin, TopicFacts
from detector.transports.kafka.diagnosis import grant, who
from detector.transports.kafka.markers import newest_owner, owner_of
from detector.transports.kafka.topics import RIGHTS, mismatches, names
from detector.transports.ownership import not_ours
from detector.transports.package import CheckResult, Status
from schemas.config import Kafka, Settings


def preflight(settings: Settings, wait_s: float) -> Iterator[CheckResult]:
    """Names, broker, topics and rights, the group, the state. Blocks up to `wait_s` for a broker."""
    yield from _names(settings)
    yield from _broker(settings, wait_s)


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
            yield from _state(settings, found)
    except WatchkeeperError as error:
        yield CheckResult(Status.FAIL, "broker", error.problem, error.remedy)


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
    denied = [right for right in RIGHTS[stream] if facts.rights is not None and right not in facts.rights]
    for right in denied:
        remedy = grant(right.capitalize(), "topic", name)
        yield CheckResult(Status.FAIL, subject, f"{who(settings.kafka)} may not {right} the {stream} topic", remedy)
    if not wrong and not denied:
        rights = "rights unknown" if facts.rights is None else f"may {' and '.join(RIGHTS[stream])}"
        count = f"{facts.partitions} partition{'s' * (facts.partitions != 1)}"
        yield CheckResult(Status.OK, subject, f"{stream}, {count}, replication {facts.replication}, {rights}")


def _state(settings: Settings, found: dict[str, TopicFacts]) -> Iterator[CheckResult]:
    """State of another group or input would send this one to where that one stands."""
    facts = found.get(settings.topics.state)
    if facts is None or facts.leaderless or (facts.rights is not None and "READ" not in facts.rights):
        return
    subject, ours = f"state in {facts.name}", owner_of(settings, found)
    theirs = newest_owner(settings, facts.partitions)
    if theirs is None or theirs == Owner():
        return
    if theirs.conflicts_with(ours):
        refusal = not_ours(facts.name, theirs, ours)
        yield CheckResult(Status.FAIL, subject, refusal.problem, refusal.remedy)
    else:
        yield CheckResult(Status.OK, subject, f"written by group {theirs.group} on {theirs.topic}")


def _group(kafka: Kafka, admin: Admin) -> CheckResult:
    subject = f"group {kafka.group}"
    if admin.may_use_group(kafka.group):
        return CheckResult(Status.OK, subject, "its offsets can be read")
    problem = f"{who(kafka)} may not READ it, so no offset could be committed"
    return CheckResult(Status.FAIL, subject, problem, grant("Read", "group", kafka.group))
