"""Sending a control message from a command, and reading those that arrive."""

from pydantic import ValidationError

from detector.errors import one_line
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.control import CONTROL, Control


def send_control(settings: Settings, message: Control) -> None:
    """Sends one control message and waits for the confirmation. Raises BrokerError or ConfigError."""
    key = getattr(message, "model", "").encode()
    transport_of(settings).send(settings, message.model_dump_json().encode(), key)


def parse_control(data: bytes) -> Control | str:
    """The message, or in one line why it is not one. Of the payload only names of fields are repeated, no value."""
    try:
        return CONTROL.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        # Of all errors only this one's text repeats what was written.
        what = "its type is none that is known" if first["type"] == "union_tag_invalid" else first["msg"]
        return one_line(f"{where[:80]}: {what[:120]}")
