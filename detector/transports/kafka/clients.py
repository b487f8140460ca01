"""Makes every kafka-python client of detector and trainer: group members, readers, producers, admin."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from detector.transports.kafka.connection import client_options
from detector.transports.kafka.diagnosis import translate_error, unreachable
from detector.transports.kafka.membership import ForgetfulStickyAssignor
from schemas.config import Kafka, Settings

_SAY_WAITING_S = 5.0
_BOOTSTRAP_S = 30.0
_ADMIN_REQUEST_MS = 15_000
_LONGEST_TRAINING_MS = 6 * 3_600_000  # until then the group believes that a worker is alive


class Clients:
    """Makes clients for one configuration. Making one blocks until a broker answers.

    component: what the broker's logs and quotas call us, after `watchkeeper-`.
    """

    def __init__(self, settings: Settings, component: str) -> None:
        self._settings = settings
        kafka = settings.kafka
        self._options: dict[str, Any] = client_options(kafka) | {
            "client_id": f"watchkeeper-{component}",
            "metadata_max_age_ms": 60_000,
            "reconnect_backoff_max_ms": 1000,  # the client's default waits 30 s after a broker came back
            "request_timeout_ms": int(kafka.request_timeout_s * 1000),
            "metrics_enabled": False,
        }

    def first_reader(self) -> KafkaConsumer:
        """A reader, once a broker answers; waits for one up to limits.broker_wait_s, saying so."""
        kafka, wait_s = self._settings.kafka, self._settings.limits.broker_wait_s
        deadline = time.monotonic() + wait_s
        while True:
            left = deadline - time.monotonic()
            try:
                return self.reader(patience_s=min(left, _SAY_WAITING_S))
            except KafkaTimeoutError:
                left = deadline - time.monotonic()
                if left > 0:
                    reason = unreachable(kafka, wait_s - left).problem
                    structlog.get_logger().warning("waiting for a broker", reason=reason, left_s=round(left))
                    continue
                raise unreachable(kafka, wait_s) from None
            except KafkaError as error:
                raise translate_error("connecting", error) from error

    def reader(
        self, patience_s: float = _BOOTSTRAP_S, *, committed: bool = True, poll_records: int = 500
    ) -> KafkaConsumer:
        """Blocks up to `patience_s` for a broker. committed False: reads what transactions may still take back."""
        return KafkaConsumer(
            **self._options,
            bootstrap_timeout_ms=max(int(patience_s * 1000), 1),
            max_poll_records=poll_records,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed" if committed else "read_uncommitted",
        )

    def member(self, assignor: ForgetfulStickyAssignor) -> KafkaConsumer:
        """The daemons' group's member. It never resets an offset by itself: a jump would be silent."""
        limits, kafka = self._settings.limits, self._settings.kafka
        session_ms = int(kafka.session_timeout_s * 1000)
        return KafkaConsumer(
            **self._options,
            group_id=kafka.group,
            group_instance_id=kafka.instance,
            partition_assignment_strategy=(assignor,),
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=limits.poll_records,
            max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(1000, session_ms // 3),
            max_poll_interval_ms=int(kafka.max_poll_interval_s * 1000),
        )

    def worker(self) -> KafkaConsumer:
        """The workers' group's member, which may be away for a training. Blocks up to limits.broker_wait_s."""
        session_ms = int(self._settings.kafka.session_timeout_s * 1000)
        return KafkaConsumer(
            **self._options,
            bootstrap_timeout_ms=int(self._settings.limits.broker_wait_s * 1000),
            group_id=f"{self._settings.kafka.group}-worker",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=1,
            max_poll_interval_ms=_LONGEST_TRAINING_MS,
            session_timeout_ms=session_ms,  # beats are sent during a training too; a dead worker sends none
            heartbeat_interval_ms=min(1000, session_ms // 3),
            allow_auto_create_topics=False,
            isolation_level="read_committed",
        )

    def producer(
        self, transactional_id: str | None = None, *, patience_s: float = _BOOTSTRAP_S, create_topics: bool = False
    ) -> KafkaProducer:
        """Idempotent; with a transactional id it must be initialised before its first transaction.

        create_topics: a broker that makes topics when they are named may do so.
        """
        limits = self._settings.limits
        timeout_ms = int(limits.delivery_timeout_s * 1000)
        options = self._options | {
            # The client asks that a request may not last longer than a delivery.
            "request_timeout_ms": min(self._options["request_timeout_ms"], timeout_ms - 500),
            "delivery_timeout_ms": timeout_ms,
            "max_block_ms": timeout_ms,
        }
        if transactional_id is not None:
            options["transactional_id"] = transactional_id
            options["transaction_timeout_ms"] = int(self._settings.kafka.transaction_timeout_s * 1000)
        return KafkaProducer(
            **options,
            bootstrap_timeout_ms=int(patience_s * 1000),
            acks="all",
            enable_idempotence=True,
            linger_ms=2,  # 0 costs ten times as much a message
            batch_size=131_072,
            max_request_size=64 << 20,  # a dead letter is as large as its record: the topic's limit counts, not ours
            allow_auto_create_topics=create_topics,
        )


def admin_client(kafka: Kafka, wait_s: float) -> KafkaAdminClient:
    """For looking at topics and making them. Waits up to `wait_s` for a broker."""
    return KafkaAdminClient(
        **client_options(kafka),
        client_id="watchkeeper-admin",
        request_timeout_ms=_ADMIN_REQUEST_MS,
        bootstrap_timeout_ms=int(wait_s * 1000),
    )


@contextmanager
def explained(kafka: Kafka, wait_s: float) -> Iterator[None]:
    """Around making a client for a person's command: where none can be made, BrokerError says why. Blocks."""
    try:
        yield
    except KafkaError:
        raise unreachable(kafka, wait_s) from None
