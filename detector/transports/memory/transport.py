"""The memory transport: a member of a group at a broker inside the process."""

from collections.abc import Callable, Mapping

from detector.core.state.codec import Owner
from detector.errors import BrokerError, DataError, RetriableError
from detector.transports.interface import ControlRecord, Message, Polled, nothing
from detector.transports.memory.broker import MemoryBroker, MemoryRecord
from detector.transports.memory.group import Member
from schemas.config import Settings


class MemoryTransport:
    """Implements Transport over a MemoryBroker. Waits only where poll has nothing to give, by the broker's `sleep`."""

    def __init__(self, settings: Settings, broker: MemoryBroker) -> None:
        self._settings, self._broker = settings, broker
        topics = settings.topics
        missing = [name for name in (topics.input, topics.control, topics.state) if not broker.partitions(name)]
        if missing:
            raise BrokerError(f"the broker has no topic {', '.join(missing)}", "run: watchkeeper topics --create")
        self._transactional = settings.delivery == "exactly_once"
        self._next: dict[int, int] = {}  # resumed partition -> offset of the next record
        self._turn = 0
        self._outstanding: list[Message] = []  # not confirmed yet
        self._staged: list[Message] = []  # exactly_once: confirmed, and visible with the commit
        self._control = {n: broker.log(topics.control, n).end for n in range(broker.partitions(topics.control))}
        self._group = broker.group(settings.kafka.group, self.topic)
        self.member = Member()

    @property
    def topic(self) -> str:
        """The input topic."""
        return self._settings.topics.input

    @property
    def owner(self) -> Owner:
        """Group and input."""
        return Owner(self._settings.kafka.group, self.topic)

    def poll(self, timeout_s: float, most: int) -> Polled:
        """One poll of the group's member: partitions in turn, so that none starves."""
        if self._broker.away:
            self._broker.sleep(timeout_s)
            return Polled()
        news = self._group.poll(self.member)
        for partition in news.assigned | news.revoked | news.lost:
            self._next.pop(partition, None)
        records, gaps = self._fetch(most)
        if not (records or gaps or news.assigned or news.revoked or news.lost):
            self._broker.sleep(timeout_s)
            records, gaps = self._fetch(most)
        lag = {n: self._broker.log(self.topic, n).end - offset for n, offset in self._next.items()}
        return Polled(records, news.assigned, news.revoked, news.lost, gaps, lag)

    def restore(self, partition: int, _advanced: Callable[[], None] = nothing) -> Mapping[bytes, bytes]:
        """The newest entry of each key in the state topic."""
        self._demand("reading the state")
        if partition >= self._broker.partitions(self._settings.topics.state):
            problem = f"{self._settings.topics.state} has no partition {partition}"
            raise RetriableError(problem, f"give it as many as {self.topic} has; the watch waits for it")
        log = self._broker.log(self._settings.topics.state, partition)
        entries = {record.key: record.value for record in log.records}
        return {key: value for key, value in entries.items() if key is not None and value is not None}

    def resume(self, partition: int, offset: int | None) -> int:
        """Goes to the checkpoint's offset; without one to the committed one, or where kafka.start says."""
        self._demand("finding the start of a partition")
        if offset is None:
            log = self._broker.log(self.topic, partition)
            edge = log.end if self._settings.kafka.start == "latest" else log.start
            offset = self._group.committed.get(partition, edge)
        if partition in self._group.owned(self.member):  # else the next poll says so
            self._next[partition] = offset
        return offset

    def send(self, message: Message) -> None:
        """Keeps a message until the next flush; flushes when too many are outstanding."""
        if len(self._outstanding) >= self._settings.limits.outstanding_sends:
            self.flush(self._settings.limits.delivery_timeout_s)
        self._outstanding.append(message)

    def flush(self, timeout_s: float) -> None:
        """Confirms what was sent, in order."""
        if not self._outstanding:
            return
        if self._broker.away:
            self._broker.sleep(timeout_s)
        self._demand("waiting for deliveries")
        if self._transactional:
            self._staged += self._outstanding
        else:
            self._store(self._outstanding)
        self._outstanding = []

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> None:
        """Commits the group's offsets; under exactly_once with everything that was sent.

        At least once, a partition lost meanwhile is another member's: it goes on from the state.
        """
        self.flush(timeout_s)
        self._demand("committing offsets")
        if self._transactional:
            self._group.commit(self.member, offsets)
            self._store(self._staged)
            self._staged = []
            return
        own = self._group.owned(self.member)
        self._group.commit(self.member, {p: offset for p, offset in offsets.items() if p in own})

    def recover(self) -> None:
        """Drops what was not confirmed, and under exactly_once what was not committed."""
        self._outstanding, self._staged = [], []

    def control(self) -> list[ControlRecord]:
        """What came on the control topic."""
        if self._broker.away:
            return []
        found: list[MemoryRecord] = []
        for partition, offset in self._control.items():
            log = self._broker.log(self._settings.topics.control, partition)
            found += log.read(offset, log.end - offset)
            self._control[partition] = log.end
        return [
            ControlRecord(record.value, f"{record.topic}/{record.partition}/{record.offset}")
            for record in found
            if record.value is not None
        ]

    def close(self, timeout_s: float) -> None:
        """Leaves the group; what was not confirmed is dropped."""
        del timeout_s
        self.recover()
        self._group.leave(self.member)

    def _fetch(self, most: int) -> tuple[list[MemoryRecord], dict[int, tuple[int, int]]]:
        """Records, and the offsets that retention took before they were read."""
        records: list[MemoryRecord] = []
        gaps: dict[int, tuple[int, int]] = {}
        self._turn += 1
        order = sorted(self._next)
        turn = self._turn % max(len(order), 1)
        for partition in order[turn:] + order[:turn]:
            log, offset = self._broker.log(self.topic, partition), self._next[partition]
            if offset > log.end:
                raise DataError(
                    f"{self.topic} ends before offset {offset} of partition {partition}, where the state stands",
                    "it was made anew or lost records: name another kafka.group and topics.state to begin anew",
                )
            if offset < log.start:
                gaps[partition] = (offset, log.start)
                offset = log.start
            part = log.read(offset, most - len(records))
            self._next[partition] = part[-1].offset + 1 if part else offset
            records += part
        return records, gaps

    def _store(self, messages: list[Message]) -> None:
        for message in messages:
            topic = getattr(self._settings.topics, message.stream.value)
            self._broker.append(topic, message.value, message.key, message.partition, message.headers)

    def _demand(self, doing: str) -> None:
        if self._broker.away:
            raise RetriableError(f"{doing} failed: the broker is away", "nothing unconfirmed is committed")
