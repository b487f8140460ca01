"""A refusal is one line that names the right; what is no refusal is left to others."""

import pytest
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
)

from detector.transports.kafka.diagnosis import missing_acl, unreachable
from schemas.config import Kafka


@pytest.mark.parametrize(
    ("error", "operation", "wanted", "remedy"),
    [
        (TopicAuthorizationFailedError({"b", "a"}), "Read", "READ the topic a, b", "--operation Read --topic a, b"),
        (
            TopicAuthorizationFailedError("alerts"),
            "Write",
            "WRITE the topic alerts",
            "--operation Write --topic alerts",
        ),
        (GroupAuthorizationFailedError("plant"), "Write", "READ the group plant", "--operation Read --group plant"),
        (
            TransactionalIdAuthorizationFailedError(),
            "Read",
            "WRITE the transactional-id",
            "--operation Write --transactional-id GROUP- --resource-pattern-type prefixed",
        ),
    ],
)
def test_the_missing_right_is_named(error: AuthorizationError, operation: str, wanted: str, remedy: str) -> None:
    """Operation, kind and name, as `kafka-acls` writes them."""
    found = missing_acl("polling", error, operation)
    assert found is not None
    assert found.problem == f"polling failed: this login may not {wanted}"
    assert found.remedy == f"grant it to kafka.sasl_username: kafka-acls --add {remedy}"
    assert found.exit_code == 5


@pytest.mark.parametrize("error", [KafkaTimeoutError(), ClusterAuthorizationFailedError(), ValueError("topic")])
def test_other_errors_are_not_taken_for_a_missing_right(error: BaseException) -> None:
    """A guess at a right would send somebody the wrong way."""
    assert missing_acl("polling", error) is None


def test_nobody_there_is_not_a_refusal() -> None:
    """All servers are tried, and the line has all of them."""
    found = unreachable(Kafka(bootstrap_servers="127.0.0.1:9,no.such.host.invalid:9092"), 3)
    assert found.problem == "no broker answers at 127.0.0.1:9,no.such.host.invalid:9092 within 3 s"
