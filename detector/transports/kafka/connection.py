"""From the configuration to the arguments that every kafka-python client shares.

The one place where a secret is unwrapped; the result is handed to a client and never logged.
"""

import ssl
from typing import Any

from detector.errors import ConfigError
from schemas.config import Kafka

PATIENCE_S = 10.0  # how long a command, with a person before it, waits for a broker


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Give the connection arguments for KafkaConsumer, KafkaProducer and KafkaAdminClient. Raises ConfigError."""
    options: dict[str, Any] = {
        "bootstrap_servers": servers(kafka),
        "security_protocol": kafka.security_protocol,
    }
    files = _files(kafka)
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = tls_context(kafka)
    elif files:
        raise ConfigError(
            f"kafka.{files[0]} is set although kafka.security_protocol is {kafka.security_protocol}",
            "set kafka.security_protocol to SSL or SASL_SSL, or remove the key",
        )
    if kafka.security_protocol.startswith("SASL"):
        options |= _sasl(kafka)
    return options


def servers(kafka: Kafka) -> list[str]:
    """The brokers to begin with, host:port each."""
    found = [server.strip() for server in kafka.bootstrap_servers.split(",") if server.strip()]
    for server in found:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(f"kafka.bootstrap_servers holds {server!r}", "write host:port, separated by commas")
    if not found:
        raise ConfigError("kafka.bootstrap_servers is empty", "write host:port, separated by commas")
    return found


def tls_context(kafka: Kafka) -> ssl.SSLContext:
    """Whose certificates are believed, and ours where there is one. TLS 1.2 or newer, host names are checked."""
    _files(kafka)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if kafka.ssl_cafile is not None:
            context.load_verify_locations(kafka.ssl_cafile)
        else:
            context.load_default_certs()
    except (ssl.SSLError, OSError):
        raise ConfigError(
            f"kafka.ssl_cafile names {kafka.ssl_cafile}, which holds no certificates that can be read",
            "name a PEM file with the authority's certificate",
        ) from None
    if kafka.ssl_certfile is not None:
        try:
            # Without a password OpenSSL would ask for one on the terminal, and a daemon has none.
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password="")
        except (ssl.SSLError, OSError):
            raise ConfigError(
                f"kafka.ssl_certfile {kafka.ssl_certfile} and its key cannot be used",
                "name PEM files of a certificate and of its private key without a passphrase (kafka.ssl_keyfile)",
            ) from None
    return context


def _files(kafka: Kafka) -> list[str]:
    """Keys that name certificate files; each must be there, since the TLS library does not say which is not."""
    named = [key for key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile") if getattr(kafka, key) is not None]
    for key in named:
        path = getattr(kafka, key)
        if not path.is_file():
            raise ConfigError(f"kafka.{key} names {path}, which is no file", "correct the path")
    return named


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
