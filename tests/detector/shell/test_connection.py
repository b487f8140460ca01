"""The one place where a configuration becomes a client's arguments, and a secret is unwrapped."""

from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from pydantic import SecretStr

from detector.errors import ConfigError
from detector.shell.connection import client_options
from schemas.config import Kafka

LOGIN: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "plant", "sasl_password": SecretStr("pw")}


def test_plain_text_needs_nothing_but_servers() -> None:
    """Spaces around commas are no part of a host."""
    options = client_options(Kafka(bootstrap_servers="one:9092, [::1]:9093 ,"))
    assert options == {"bootstrap_servers": ["one:9092", "[::1]:9093"], "security_protocol": "PLAINTEXT"}


def test_a_login_over_tls_is_passed_whole(tmp_path: Path) -> None:
    """Every key under the name that kafka-python has for it, the password as text."""
    authority = tmp_path / "ca.pem"
    authority.touch()
    options = client_options(Kafka(security_protocol="SASL_SSL", ssl_cafile=authority, **LOGIN))
    assert options["ssl_cafile"] == str(authority)
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("plant", "pw")


@pytest.mark.parametrize("client", [KafkaConsumer, KafkaProducer, KafkaAdminClient])
def test_every_client_knows_every_argument(client: Any, tmp_path: Path) -> None:
    """An argument that a client does not know would end the daemon at its start."""
    files = {key: tmp_path / key for key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")}
    for path in files.values():
        path.touch()
    options = client_options(Kafka(security_protocol="SASL_SSL", **files, **LOGIN))
    assert set(options) <= set(client.DEFAULT_CONFIG)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"bootstrap_servers": "localhost"}, "'localhost'"),
        ({"bootstrap_servers": "localhost:notaport"}, "'localhost:notaport'"),
        ({"bootstrap_servers": "localhost:70000"}, "'localhost:70000'"),
        ({"bootstrap_servers": " , "}, "bootstrap_servers is empty"),
        ({"security_protocol": "SASL_SSL"}, "without a login"),
        ({"security_protocol": "SASL_SSL", **LOGIN, "sasl_password": None}, "password"),
        ({"security_protocol": "SSL", "ssl_cafile": Path("/nowhere/ca.pem")}, "kafka.ssl_cafile"),
        ({"ssl_certfile": Path(__file__)}, "kafka.ssl_certfile"),
    ],
)
def test_what_cannot_work_is_named_by_its_key(settings: dict[str, Any], named: str) -> None:
    """One line with the key and the remedy, and never the password."""
    with pytest.raises(ConfigError) as caught:
        client_options(Kafka(**settings))
    assert named in caught.value.problem
    assert caught.value.remedy
    assert "pw" not in str(caught.value).split()
