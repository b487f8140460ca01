"""The sending side: outstanding messages are bounded and awaited; under exactly_once they are one transaction.

After any error of a transaction the producer is closed and another one made: kafka-python's own recovery can carry
offsets of a failed transaction into the next one.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar
from uuid import uuid4

from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownError,
)
from kafka.structs import ConsumerGroupMetadata

from detector.errors import RetriableError
from detector.transports.interface import Message
from detector.transports.kafka.clients import Clients
from detector.transports.kafka.diagnosis import translate_error
from detector.transports.kafka.sizes import SizeLimits
from schemas.config import Settings

_CLOSE_S = 2.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
T = TypeVar("T")


class Deliveries:
    """One producer and what it has not confirmed yet. Blocks in its constructor until the broker answers."""

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self._settings, self._clients = settings, clients
        kafka = settings.kafka
        once = settings.delivery == "exactly_once"
        # A member with a name finds, and ends, the transaction that it left open when it was killed.
        self._transactional_id = f"{kafka.group}-{kafka.instance or uuid4().hex}" if once else None
        self._futures: list[tuple[Any, str, Message]] = []
        self._sizes = SizeLimits()
        self._in_transaction = False
        self._producer = self._make()

    @property
    def transactional(self) -> bool:
        """Whether everything sent becomes visible with the commit."""
        return self._transactional_id is not None

    def send(self, topic: str, message: Message) -> None:
        """Hands a message to the producer; waits for the confirmations when too many are outstanding.

        A topic that refused a message of that size gets it smaller.
        """
        for part in self._sizes.fit(topic, message):
            self._send(topic, part)

    def _send(self, topic: str, message: Message) -> None:
        if len(self._futures) >= self._settings.limits.outstanding_sends:
            self.flush(self._settings.limits.delivery_timeout_s)
        try:
            self._begin()
            # The client refuses a record with neither key nor value, which a tombstone's dead letter can be.
            key = b"" if message.key is None and message.value is None else message.key
            future = self._producer.send(topic, message.value, key, list(message.headers), message.partition)
        except KafkaError as error:
            self._raise_refusal_for_size()
            raise translate_error(f"sending to {topic}", error, "Write") from error
        except ValueError as error:  # a partition that is newer than what the producer knows: the next one knows it
            raise RetriableError(f"sending to {topic} failed ({error})", f"give {topic} as many partitions") from error
        self._futures.append((future, topic, message))

    def flush(self, timeout_s: float) -> None:
        """Waits for every outstanding confirmation."""
        if not self._futures:
            return
        try:
            self._flush(time.monotonic() + timeout_s)
        except KafkaError as error:
            self._raise_refusal_for_size()
            raise translate_error("waiting for deliveries", error, "Write") from error
        self._raise_refusal_for_size()
        for future, _, _ in self._futures:
            if not future.succeeded():
                raise translate_error("a delivery", future.exception or TimeoutError(), "Write")
        self._futures.clear()

    def commit(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], member: ConsumerGroupMetadata, timeout_s: float
    ) -> None:
        """Ends the transaction with the group's offsets in it; what was sent becomes visible.

        Offsets come after the state: a member that lost its partitions in between is refused here, and the state it
        wrote is taken back with the rest. Each call of the client may block for ever, so it is given a time.
        """
        if not offsets and not self._in_transaction:
            return
        try:
            self._begin()
            if offsets:
                within(timeout_s, lambda: self._producer.send_offsets_to_transaction(dict(offsets), member))
            within(timeout_s, self._producer.commit_transaction)
        except KafkaError as error:
            self._raise_refusal_for_size()
            raise translate_error("committing the transaction", error, "Write") from error
        self._in_transaction = False

    def rebuild(self) -> None:
        """Drops the producer with everything unconfirmed, and makes another one."""
        self._drop()
        self._producer = self._make()

    def close(self, timeout_s: float) -> None:
        """Closes within the time. An open transaction is taken back."""
        if self._in_transaction:
            self._drop()
            return
        try:
            self._producer.close(timeout=timeout_s)
        except KafkaError:
            self._force()

    def _flush(self, deadline: float) -> None:
        """The client gives up, without a reason, on a batch that was too large and was split: its parts count."""
        while True:
            try:
                self._producer.flush(timeout=max(deadline - time.monotonic(), 0.0))
                break
            except UnknownError:
                if time.monotonic() > deadline:
                    raise

    def _raise_refusal_for_size(self) -> None:
        """The cause where a message is too large for its topic: within a transaction all others fail because of it."""
        for future, topic, message in self._futures:
            if isinstance(future.exception, _TOO_LARGE):
                raise self._sizes.refused(topic, message)

    def _begin(self) -> None:
        if self.transactional and not self._in_transaction:
            self._producer.begin_transaction()
            self._in_transaction = True

    def _make(self) -> KafkaProducer:
        producer = None
        try:
            producer = self._clients.producer(self._transactional_id)
            if self.transactional:
                producer.init_transactions()
        except KafkaError as error:
            if producer is not None:
                producer._sender.force_close()  # see _force
            raise translate_error("starting the producer", error, "Write") from error
        return producer

    def _drop(self) -> None:
        if self._in_transaction:
            with suppress(KafkaError):  # else the next producer of this name ends it, or the broker after its time
                within(_CLOSE_S, self._producer.abort_transaction)
        self._in_transaction = False
        self._futures.clear()
        self._force()

    def _force(self) -> None:
        """A close that cannot flush leaves the client's thread running, and sending: late, and out of order."""
        self._producer._sender.force_close()
        with suppress(KafkaError):
            self._producer.close(timeout=_CLOSE_S)


def within(timeout_s: float, call: Callable[[], T]) -> T:
    """Runs a call that may block for ever; KafkaTimeoutError after the time. The thread is left behind then."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread
            failed.append(error)

    thread = Thread(target=run, name="transaction", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if failed:
        raise failed[0]
    if not done:
        raise KafkaTimeoutError(f"no answer within {timeout_s:.0f} s")
    return done[0]
