"""How each kafka-python client is made: the group's consumer, readers without a group, the producer."""

import time
from typing import Any

import structlog
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RebalanceInProgressError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnknownMemberIdError,
    UnsupportedVersionError,
)

from detector.errors import BrokerError, PartitionsLost, RetriableError
from detector.transports.kafka.connection import client_options
from detector.transports.kafka.diagnosis import missing_acl, unreachable
from detector.transports.kafka.membership import ForgetfulStickyAssignor
from schemas.config import Settings

LOST_PARTITION = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
_SAY_WAITING_S = 5.0
# Trying again changes nothing: a person must act.
_FINAL = (
    AuthorizationError,
    FencedInstanceIdError,
    KafkaConfigurationError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnsupportedVersionError,
)


class Clients:
    """Makes clients for one configuration. Making one blocks until a broker answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        kafka = settings.kafka
        self._options: dict[str, Any] = client_options(kafka) | {
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

    def reader(self, patience_s: float = 30.0, *, committed: bool = True) -> KafkaConsumer:
        """Blocks up to `patience_s` for a broker. committed False: reads what transactions may still take back."""
        return KafkaConsumer(
            **self._options,
            bootstrap_timeout_ms=max(int(patience_s * 1000), 1),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed" if committed else "read_uncommitted",
        )

    def consumer(self, assignor: ForgetfulStickyAssignor) -> KafkaConsumer:
        """The group's member. It never resets an offset by itself: a jump would be silent."""
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

    def producer(self, transactional_id: str | None) -> KafkaProducer:
        """Idempotent; with a transactional id it must be initialised before its first transaction."""
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
            acks="all",
            enable_idempotence=True,
            linger_ms=2,  # 0 costs ten times as much a message
            batch_size=131_072,
            max_request_size=64 << 20,  # a dead letter is as large as its record: the topic's limit counts, not ours
            allow_auto_create_topics=False,
        )


def translate_error(doing: str, error: BaseException, operation: str = "Read") -> BrokerError:
    """What a client's error is for us: something to begin again after, or for a person to mend.

    operation: what was asked of a topic, `Read` or `Write`; it names the right that is missing.
    """
    # "A previous request has failed with errors" carries the error that says why.
    error = next((part for part in error.args if isinstance(part, KafkaError)), error)
    problem = f"{doing} failed ({type(error).__name__}: {str(error)[:160]})"
    if isinstance(error, FencedInstanceIdError):
        return BrokerError(problem, "another daemon runs with the same kafka.instance: give each its own, or stop one")
    if isinstance(error, _FINAL):
        return missing_acl(doing, error, operation) or BrokerError(
            problem, "check it with 'watchkeeper check'; nothing that was not confirmed is committed"
        )
    if isinstance(error, LOST_PARTITION):
        return PartitionsLost(problem, "this mends itself: another member goes on from the last checkpoint")
    return RetriableError(problem, "check the broker with 'watchkeeper check'; nothing unconfirmed is committed")
