"""A feed with something bad in it, held against the same feed with something harmless in those places.

Eight assets of which nothing is wrong each have one incident; a slot a second takes the bad thing. The promise is the
same whatever stands there: scores, alerts and states of the healthy assets are those of the harmless feed, each bad
record becomes what it must, and a SIGKILL in the middle changes nothing.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

from deploy.local.process import DaemonProcess
from detector.core.alarms.incidents import incident_id
from schemas.alert import Alert
from tests.reliability.faults.failpoints import Failpoint
from tests.reliability.faults.feed import FaultFeed
from tests.reliability.faults.ledger import Entry, Place, Reconciliation, RunOutputs
from tests.reliability.faults.registry import fault
from tests.reliability.faults.testbed import FaultTestbed
from tests.support.installation import START_S, record
from tests.support.kafka_client import Message, eventually

HEALTHY = tuple(f"pump-{number}" for number in range(8))
SECONDS = 90
# Small polls and a checkpoint after nearly each of them: even a short feed has a middle to be killed in.
_LIMITS = {"poll_records": 60, "checkpoint_s": 0.05}
_MIDDLE = Failpoint("poll", "after", 8)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A bad record. becomes: what it must be in the outputs; None: a row of its asset, with or without a score."""

    message: Message
    becomes: Entry | None = None


NEVER_READ = "never read"  # what the client cannot read is a gap, counted and said
HARMLESS = BadRecord(Message(b"{"), "not_json")


@dataclass(frozen=True, slots=True)
class BadFeedOutcome:
    """What a run said of the bad records and of their assets. peak_mib: of the daemon that reached the end."""

    entries: list[Entry]  # in the order of the bad records
    alerts: list[Alert]  # in the order of their times
    peak_mib: float
    log: str


Check = Callable[[BadFeedOutcome], Iterable[str]]


@dataclass(frozen=True, slots=True)
class BadFeed:
    """The bad records of a fault: as many in each second."""

    name: str
    bad_records: Sequence[BadRecord]
    check: Check = lambda _found: ()
    compression: str | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)

    def feed(self) -> FaultFeed:
        """Healthy records, and after those of each second its bad ones."""
        messages = [message for message, _ in self._placed()]
        return FaultFeed(
            re.sub(r"[^A-Za-z0-9]+", "-", self.name), tuple(messages), partitions=1, compression=self.compression
        )

    def harmless(self) -> FaultFeed:
        """The same with harmless records in the places of the bad ones."""
        calm = BadFeed(f"harmless-{len(self.bad_records)}", [HARMLESS] * len(self.bad_records))
        return calm.feed()

    def places(self) -> dict[Place, BadRecord]:
        """Where the bad records lie."""
        return {
            (0, offset): bad_record for offset, (_, bad_record) in enumerate(self._placed()) if bad_record is not None
        }

    def _placed(self) -> Iterator[tuple[Message, BadRecord | None]]:
        each = len(self.bad_records) // SECONDS
        for second in range(SECONDS):
            for number in range(len(HEALTHY)):
                yield _at(second, _healthy(number, second)), None
            for bad_record in self.bad_records[second * each : (second + 1) * each]:
                yield _at(second, bad_record.message), bad_record


def bad_feed_fault(bad_feed: BadFeed) -> None:
    """Registers a fault."""

    def run(testbed: FaultTestbed, guarantee: str) -> Reconciliation:
        calm = testbed.baseline(testbed.publish(bad_feed.harmless()))
        feed_topic = testbed.publish(bad_feed.feed())
        sections = {"limits": _LIMITS} | dict(bad_feed.sections)
        sections["limits"] = _LIMITS | sections["limits"]
        with testbed.daemons(feed_topic, guarantee, **sections) as daemons:
            daemons.start(failpoint=_MIDDLE)
            assert daemons.struck(), "the run ended before its middle"
            peak_mib = _until(daemons.is_done, daemons.start())
            daemons.finish()
            outputs, places = daemons.outputs(), bad_feed.places()
            gone = {place for place, bad_record in places.items() if bad_record.becomes == NEVER_READ}
            reconciliation = daemons.reconcile(
                _expected(_moved(calm, feed_topic.topic), outputs, places), gone, outputs
            )
            found = BadFeedOutcome(
                [outputs.entries[p] for p in places if p in outputs.entries], _odd(outputs), peak_mib, daemons.log()
            )
        problems = (*reconciliation.problems, *_wrong(outputs, places), *bad_feed.check(found))
        return replace(reconciliation, problems=problems)

    fault(bad_feed.name)(run)


def spread(bad_records: Sequence[BadRecord], count: int = SECONDS) -> list[BadRecord]:
    """`count` bad records, taken in turn, spread evenly over the feed with harmless ones between."""
    step = SECONDS // count
    taken = islice(cycle(bad_records), count)
    return [next(taken, HARMLESS) if second % step == step // 2 else HARMLESS for second in range(SECONDS)]


def row(asset: str, second: float, flow: float = 10.0, temperature: float = 50.0, **marks: Any) -> BadRecord:
    """A readable row; marks: what else a Message can have."""
    return BadRecord(replace(record(asset, second, flow, temperature), **marks))


def ripple(second: int) -> float:
    """What keeps a normal sensor from looking stuck."""
    return 0.1 * (second * 7 % 5)


def _healthy(number: int, second: int) -> Message:
    lifted = 15 + 5 * number <= second < 30 + 5 * number
    wave = ripple(second + number)
    return record(HEALTHY[number], second, (22.0 if lifted else 10.0) + wave, 50.0 - wave)


def _at(second: int, message: Message) -> Message:
    return replace(message, partition=0, timestamp=int((START_S + second) * 1000))


def _until(done: Callable[[], bool], member: DaemonProcess) -> float:
    member.wait_ready()
    eventually(lambda: done() or member.exit_code is not None, 90, "the end of the feed")
    return member.peak_mib() if member.exit_code is None else 0.0


def _expected(calm: RunOutputs, outputs: RunOutputs, places: Collection[Place]) -> RunOutputs:
    """Healthy assets as in the harmless run; of the bad ones what this run said, which is judged elsewhere."""
    entries = {place: entry for place, entry in calm.entries.items() if place not in places}
    odd = {alert.id: outputs.alerts[alert.id] for alert in _odd(outputs)}
    strange = {key: state for key, state in outputs.state.items() if key[1] not in HEALTHY}
    return replace(calm, entries=entries, alerts=calm.alerts | odd, state=calm.state | strange)


def _moved(calm: RunOutputs, topic: str) -> RunOutputs:
    """The harmless run as it would be told of another topic: incidents are named after the topic, too."""
    moved: dict[str, bytes] = {}
    for data in calm.alerts.values():
        alert = Alert.model_validate_json(data)
        origin, old = alert.data.origin, alert.data.incident
        new = incident_id(alert.subject, "pump", topic, origin.partition, origin.first_offset)
        told = data.replace(old.encode(), new.encode()).replace(origin.topic.encode(), topic.encode())
        moved[alert.id.replace(old, new)] = told
    return replace(calm, alerts=moved)


def _odd(outputs: RunOutputs) -> list[Alert]:
    alerts = (Alert.model_validate_json(data) for data in outputs.alerts.values())
    return sorted((alert for alert in alerts if alert.subject not in HEALTHY), key=lambda alert: (alert.time, alert.id))


def _wrong(outputs: RunOutputs, places: Mapping[Place, BadRecord]) -> Iterator[str]:
    """A complaint for each bad record that became something else than it must."""
    for place, bad_record in places.items():
        entry = outputs.entries.get(place, NEVER_READ)
        scored = not isinstance(entry, str)
        if entry != bad_record.becomes if bad_record.becomes is not None else not scored:
            yield f"the bad record {place} became {entry}, not {bad_record.becomes or 'a row'}"
