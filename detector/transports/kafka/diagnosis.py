"""What a client's error means, in one line: something passing, or the certificate, login or right that is missing.

kafka-python retries a refused connection until its time is up and then says only that; so the way is tried once more by
hand, up to the login. All rights that each component needs stand in docs/how-to/secure.md.
"""

import socket
import ssl
from collections.abc import Iterable

from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    KafkaConfigurationError,
    KafkaError,
    MessageSizeTooLargeError,
    RebalanceInProgressError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnknownMemberIdError,
    UnsupportedCodecError,
    UnsupportedVersionError,
)

from detector.errors import BrokerError, PartitionsLost, RetriableError
from detector.transports.kafka.codecs import missing_codec
from detector.transports.kafka.connection import servers, tls_context
from schemas.config import Kafka

LOST_PARTITION = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
_CONNECT_S = 3.0
# Trying again changes nothing: a person must act.
_FINAL = (
    AuthorizationError,
    FencedInstanceIdError,
    KafkaConfigurationError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
    UnsupportedVersionError,
)
_KINDS = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "group",
    TransactionalIdAuthorizationFailedError: "transactional-id",
}


def unreachable(kafka: Kafka, wait_s: float) -> BrokerError:
    """Why no client could be made within `wait_s`. Blocks for some seconds a server."""
    answers = [_answer(kafka, server) for server in servers(kafka)]
    refused = next((answer for answer in answers if answer is not None), None)
    if refused is not None:
        return refused
    return BrokerError(
        f"no broker answers at {kafka.bootstrap_servers} within {wait_s:.0f} s",
        "start it, or correct kafka.bootstrap_servers",
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
        return known_cause(doing, error, operation) or BrokerError(
            problem, "check it with 'watchkeeper check'; nothing that was not confirmed is committed"
        )
    if isinstance(error, LOST_PARTITION):
        return PartitionsLost(problem, "this mends itself: another member goes on from the last checkpoint")
    return RetriableError(problem, "check the broker with 'watchkeeper check'; nothing unconfirmed is committed")


def known_cause(doing: str, error: BaseException, operation: str = "Read") -> BrokerError | None:
    """The right or the codec that is missing, where that is the error; else None."""
    return missing_acl(doing, error, operation) or missing_codec(doing, error)


def missing_acl(doing: str, error: BaseException, operation: str = "Read") -> BrokerError | None:
    """Which right is missing, where that is the error; else None.

    operation: what is asked of a topic here, `Read` or `Write`; a group is always read, a transactional id written.
    """
    kind = next((kind for refusal, kind in _KINDS.items() if isinstance(error, refusal)), None)
    if kind is None:
        return None
    wanted = {"group": "Read", "transactional-id": "Write"}.get(kind, operation)
    name = _named(error)
    return BrokerError(
        f"{doing} failed: this login may not {wanted.upper()} the {kind} {name}".rstrip(), grant(wanted, kind, name)
    )


def grant(operation: str, kind: str, name: str) -> str:
    """The remedy: the command that grants a right. A transactional id begins with the group's name."""
    given = name if kind != "transactional-id" else "GROUP- --resource-pattern-type prefixed"
    return f"grant it to kafka.sasl_username: kafka-acls --add --operation {operation} --{kind} {given}"


def who(kafka: Kafka) -> str:
    """The client, as the broker knows it."""
    return kafka.sasl_username or "this client"


def _named(error: BaseException) -> str:
    """What was refused: kafka-python gives a name, a set of names, or nothing (for a transactional id)."""
    given = error.args[0] if error.args else ""
    if isinstance(given, str):
        return given
    return ", ".join(sorted(map(str, given))) if isinstance(given, Iterable) else str(given)


def _answer(kafka: Kafka, server: str) -> BrokerError | None:
    """How far one gets with a server: None where nobody listens."""
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_S) as plain:
            if kafka.security_protocol.endswith("SSL"):
                tls_context(kafka).wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return BrokerError(
            f"the certificate of {server} is refused: {error.verify_message}",
            "renew it at the broker, or correct kafka.ssl_cafile or the host's name",
        )
    except ssl.SSLError as error:
        reason = (error.reason or type(error).__name__).replace("_", " ").lower()
        return BrokerError(f"{server} listens, but TLS with it fails ({reason})", "check kafka.security_protocol")
    except OSError:
        return None
    if not kafka.security_protocol.startswith("SASL"):
        problem = f"{server} listens, but does not let this client in"
        return BrokerError(problem, "check kafka.security_protocol and the certificates")
    return BrokerError(
        f"{server} does not accept the login of {who(kafka)} by {kafka.sasl_mechanism}",
        "check kafka.sasl_username, its password, kafka.sasl_mechanism and kafka.security_protocol",
    )
