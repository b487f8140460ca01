"""Sending a control message from a command, and reading those that arrive."""

from kafka import KafkaProducer
from kafka.errors import KafkaError
from pydantic import ValidationError

from detector.errors import BrokerError, one_line
from detector.transports.files import append_line
from detector.transports.interface import Stream
from detector.transports.kafka.connection import PATIENCE_S, client_options
from detector.transports.kafka.diagnosis import missing_acl, unreachable
from schemas.config import Settings
from schemas.control import CONTROL, Control


def send_control(settings: Settings, message: Control) -> None:
    """Sends one control message and waits for the confirmation. Raises BrokerError or ConfigError."""
    data = message.model_dump_json().encode()
    if settings.transport == "files":
        append_line(settings, Stream.CONTROL, data)
        return
    try:
        producer = KafkaProducer(
            **client_options(settings.kafka),
            bootstrap_timeout_ms=int(PATIENCE_S * 1000),
            allow_auto_create_topics=False,
        )
    except KafkaError:
        raise unreachable(settings.kafka, PATIENCE_S) from None
    try:
        producer.send(settings.topics.control, data, getattr(message, "model", "").encode()).get(timeout=10)
    except KafkaError as error:
        raise _away(settings, error) from None
    finally:
        producer.close(timeout=5)


def parse_control(data: bytes) -> Control | str:
    """The message, or in one line why it is none; of the payload only names of fields are repeated, never a value."""
    try:
        return CONTROL.validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the message"
        # Of all faults only this one's text repeats what was written.
        what = "its type is none that is known" if fault["type"] == "union_tag_invalid" else fault["msg"]
        return one_line(f"{place[:80]}: {what[:120]}")


def _away(settings: Settings, error: KafkaError) -> BrokerError:
    return missing_acl(f"sending to {settings.topics.control}", error, "Write") or BrokerError(
        f"the control message was not delivered to {settings.topics.control} at "
        f"{settings.kafka.bootstrap_servers} ({type(error).__name__})",
        "check the broker with 'watchkeeper check' and send it again",
    )
