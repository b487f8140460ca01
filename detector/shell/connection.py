"""From the configuration to the arguments that every kafka-python client shares.

The one place where a secret is unwrapped; the result is handed to a client and never logged.
"""

from typing import Any

from detector.errors import ConfigError
from schemas.config import Kafka


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Give the connection arguments for KafkaConsumer, KafkaProducer and KafkaAdminClient. Raises ConfigError."""
    options: dict[str, Any] = {
        "bootstrap_servers": _servers(kafka.bootstrap_servers),
        "security_protocol": kafka.security_protocol,
        **_files(kafka),
    }
    if kafka.security_protocol.startswith("SASL"):
        options |= _sasl(kafka)
    return options


def _servers(text: str) -> list[str]:
    servers = [server.strip() for server in text.split(",") if server.strip()]
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(f"kafka.bootstrap_servers holds {server!r}", "write host:port, separated by commas")
    if not servers:
        raise ConfigError("kafka.bootstrap_servers is empty", "write host:port, separated by commas")
    return servers


def _files(kafka: Kafka) -> dict[str, str]:
    """Certificate files; each must be there, since the client's own message does not say which key named it."""
    options: dict[str, str] = {}
    for key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path = getattr(kafka, key)
        if path is None:
            continue
        if not path.is_file():
            raise ConfigError(f"kafka.{key} names {path}, which is no file", "correct the path")
        options[key] = str(path)
    if options and not kafka.security_protocol.endswith("SSL"):
        raise ConfigError(
            f"kafka.{next(iter(options))} is set although kafka.security_protocol is {kafka.security_protocol}",
            "set kafka.security_protocol to SSL or SASL_SSL, or remove the key",
        )
    return options


def _sasl(kafka: Kafka) -> dict[str, str]:
    if kafka.sasl_mechanism is None or kafka.sasl_username is None:
        raise ConfigError(
            f"kafka.security_protocol is {kafka.security_protocol} without a login",
            "set kafka.sasl_mechanism and kafka.sasl_username",
        )
    if kafka.sasl_password is None:
        raise ConfigError(
            "the password of kafka.sasl_username is missing",
            "set WATCHKEEPER_KAFKA__SASL_PASSWORD or kafka.sasl_password_file",
        )
    return {
        "sasl_mechanism": kafka.sasl_mechanism,
        "sasl_plain_username": kafka.sasl_username,
        "sasl_plain_password": kafka.sasl_password.get_secret_value(),
    }
