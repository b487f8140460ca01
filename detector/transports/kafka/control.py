"""Control messages outside the daemon: sending one, and the workers' group that consumes them."""

from collections.abc import Callable, Iterator

from kafka.errors import KafkaError

from detector.errors import BrokerError
from detector.transports.interface import ControlRecord
from detector.transports.kafka.admin import absent
from detector.transports.kafka.clients import Clients, explained
from detector.transports.kafka.connection import PATIENCE_S
from detector.transports.kafka.diagnosis import known_cause
from schemas.config import Settings

_POLL_MS = 500


def send(settings: Settings, value: bytes, key: bytes) -> None:
    """Sends one control message and waits for the confirmation. Raises BrokerError."""
    clients, topic = Clients(settings, "control"), settings.topics.control
    with explained(settings.kafka, PATIENCE_S):
        producer = clients.producer(patience_s=PATIENCE_S)
    try:
        producer.send(topic, value, key).get(timeout=PATIENCE_S)
    except KafkaError as error:
        raise known_cause(f"sending to {topic}", error, "Write") or BrokerError(
            f"the control message was not delivered to {topic} at {settings.kafka.bootstrap_servers} "
            f"({type(error).__name__})",
            "check the broker with 'watchkeeper check' and send it again",
        ) from None
    finally:
        producer.close(timeout=5)


def consume_control(settings: Settings, idle: Callable[[], None]) -> Iterator[ControlRecord]:
    """Messages of the control topic as one worker of the workers' group gets them."""
    kafka, topic = settings.kafka, settings.topics.control
    clients = Clients(settings, "worker")
    with explained(kafka, settings.limits.broker_wait_s):
        consumer = clients.worker()
    try:
        if not consumer.partitions_for_topic(topic):
            raise absent(kafka, {topic: "Read"})
        consumer.subscribe([topic])
        while True:
            idle()
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                yield from (
                    ControlRecord(record.value, f"{topic}/{record.partition}/{record.offset}")
                    for record in records
                    if record.value is not None
                )
                consumer.commit()
    except KafkaError as error:
        raise known_cause("waiting for requests", error) or BrokerError(
            f"the control topic {topic} at {kafka.bootstrap_servers} cannot be read ({type(error).__name__})",
            "check the broker with 'watchkeeper check', then start again",
        ) from None
    finally:
        consumer.close(autocommit=False, timeout_ms=2000)
