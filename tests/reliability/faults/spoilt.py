"""A feed with something bad in it, held against the same feed with something harmless in those places.

Eight assets of which nothing is wrong each have one incident; a slot a second takes the bad thing. The promise is the
same whatever stands there: scores, alerts and states of the healthy assets are those of the harmless feed, each bad
record is what its piece says, and a SIGKILL in the middle changes nothing.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

from deploy.local.process import DaemonProcess
from detector.core.alarms.incidents import incident_id
from schemas.alert import Alert
from tests.reliability.faults.bench import Bench
from tests.reliability.faults.failpoints import Trap
from tests.reliability.faults.feed import Feed
from tests.reliability.faults.ledger import Account, Books, Entry, Place
from tests.reliability.faults.registry import fault
from tests.support.installation import START_S, record
from tests.support.kafka_client import Message, eventually

HEALTHY = tuple(f"pump-{number}" for number in range(8))
SECONDS = 90
# Small polls and a checkpoint after nearly each of them: even a short feed has a middle to be killed in.
_LIMITS = {"poll_records": 60, "checkpoint_s": 0.05}
_MIDDLE = Trap("poll", "after", 8)


@dataclass(frozen=True, slots=True)
class Piece:
    """A bad record. becomes: what it must be in the books; None: a row of its asset, with or without a score."""

    message: Message
    becomes: Entry | None = None


NEVER_READ = "never read"  # what the client cannot read is a gap, counted and said
HARMLESS = Piece(Message(b"{"), "not_json")


@dataclass(frozen=True, slots=True)
class Found:
    """What a run said of the bad records and of their assets. peak_mib: of the daemon that reached the end."""

    entries: list[Entry]  # in the order of the pieces
    alerts: list[Alert]  # in the order of their times
    peak_mib: float
    log: str


Check = Callable[[Found], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Spoilt:
    """The bad records of a fault: as many in each second."""

    name: str
    pieces: Sequence[Piece]
    check: Check = lambda _found: ()
    compression: str | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)

    def feed(self) -> Feed:
        """Healthy records, and after those of each second its pieces."""
        messages = [message for message, _ in self._placed()]
        return Feed(
            re.sub(r"[^A-Za-z0-9]+", "-", self.name), tuple(messages), partitions=1, compression=self.compression
        )

    def harmless(self) -> Feed:
        """The same with harmless records in the places of the pieces."""
        calm = Spoilt(f"harmless-{len(self.pieces)}", [HARMLESS] * len(self.pieces))
        return calm.feed()

    def places(self) -> dict[Place, Piece]:
        """Where the pieces lie."""
        return {(0, offset): piece for offset, (_, piece) in enumerate(self._placed()) if piece is not None}

    def _placed(self) -> Iterator[tuple[Message, Piece | None]]:
        each = len(self.pieces) // SECONDS
        for second in range(SECONDS):
            for number in range(len(HEALTHY)):
                yield _at(second, _healthy(number, second)), None
            for piece in self.pieces[second * each : (second + 1) * each]:
                yield _at(second, piece.message), piece


def spoil(spoilt: Spoilt) -> None:
    """Registers a fault."""

    def run(bench: Bench, guarantee: str) -> Account:
        calm = bench.truth(bench.lay(spoilt.harmless()))
        laid = bench.lay(spoilt.feed())
        sections = {"limits": _LIMITS} | dict(spoilt.sections)
        sections["limits"] = _LIMITS | sections["limits"]
        with bench.plant(laid, guarantee, **sections) as plant:
            plant.start(trap=_MIDDLE)
            assert plant.snapped(), "the run ended before its middle"
            peak_mib = _until(plant.is_done, plant.start())
            plant.finish()
            books, places = plant.books(), spoilt.places()
            gone = {place for place, piece in places.items() if piece.becomes == NEVER_READ}
            account = plant.settle(_expected(_moved(calm, laid.topic), books, places), gone, books)
            found = Found([books.entries[p] for p in places if p in books.entries], _odd(books), peak_mib, plant.log())
        complaints = (*account.complaints, *_wrong(books, places), *spoilt.check(found))
        return replace(account, complaints=complaints)

    fault(spoilt.name)(run)


def spread(pieces: Sequence[Piece], count: int = SECONDS) -> list[Piece]:
    """`count` pieces, taken in turn, spread evenly over the feed with harmless ones between."""
    step = SECONDS // count
    taken = islice(cycle(pieces), count)
    return [next(taken, HARMLESS) if second % step == step // 2 else HARMLESS for second in range(SECONDS)]


def row(asset: str, second: float, flow: float = 10.0, temperature: float = 50.0, **marks: Any) -> Piece:
    """A readable row; marks: what else a Message can have."""
    return Piece(replace(record(asset, second, flow, temperature), **marks))


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


def _expected(calm: Books, books: Books, places: Collection[Place]) -> Books:
    """Healthy assets as in the harmless run; of the bad ones what this run said, which is judged elsewhere."""
    entries = {place: entry for place, entry in calm.entries.items() if place not in places}
    odd = {alert.id: books.alerts[alert.id] for alert in _odd(books)}
    strange = {key: state for key, state in books.state.items() if key[1] not in HEALTHY}
    return replace(calm, entries=entries, alerts=calm.alerts | odd, state=calm.state | strange)


def _moved(calm: Books, topic: str) -> Books:
    """The harmless run as it would be told of another topic: incidents are named after the topic, too."""
    moved: dict[str, bytes] = {}
    for data in calm.alerts.values():
        alert = Alert.model_validate_json(data)
        origin, old = alert.data.origin, alert.data.incident
        new = incident_id(alert.subject, "pump", topic, origin.partition, origin.first_offset)
        told = data.replace(old.encode(), new.encode()).replace(origin.topic.encode(), topic.encode())
        moved[alert.id.replace(old, new)] = told
    return replace(calm, alerts=moved)


def _odd(books: Books) -> list[Alert]:
    alerts = (Alert.model_validate_json(data) for data in books.alerts.values())
    return sorted((alert for alert in alerts if alert.subject not in HEALTHY), key=lambda alert: (alert.time, alert.id))


def _wrong(books: Books, places: Mapping[Place, Piece]) -> Iterator[str]:
    """A complaint for each bad record that became something else than its piece says."""
    for place, piece in places.items():
        entry = books.entries.get(place, NEVER_READ)
        scored = not isinstance(entry, str)
        if entry != piece.becomes if piece.becomes is not None else not scored:
            yield f"the bad record {place} became {entry}, not {piece.becomes or 'a row'}"
