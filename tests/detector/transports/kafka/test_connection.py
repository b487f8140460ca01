"""The one place where a configuration becomes a client's arguments, and a secret is unwrapped."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as form
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from pydantic import SecretStr

from detector.errors import ConfigError
from detector.transports.kafka.connection import client_options
from schemas.config import Kafka
from tests.support.authority import authority

LOGIN: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "plant", "sasl_password": SecretStr("pw")}


def test_plain_text_needs_nothing_but_servers() -> None:
    """Spaces around commas are no part of a host."""
    options = client_options(Kafka(bootstrap_servers="one:9092, [::1]:9093 ,"))
    assert options == {"bootstrap_servers": ["one:9092", "[::1]:9093"], "security_protocol": "PLAINTEXT"}


def test_a_login_over_tls_is_passed_whole(tmp_path: Path) -> None:
    """The login under kafka-python's names; of TLS a context that checks names and knows this authority alone."""
    options = client_options(
        Kafka(security_protocol="SASL_SSL", ssl_cafile=authority(tmp_path, "plant").certificate, **LOGIN)
    )
    context = options["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert [dict(parts[0] for parts in ca["subject"]) for ca in context.get_ca_certs()] == [{"commonName": "plant"}]
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("plant", "pw")


@pytest.mark.parametrize("client", [KafkaConsumer, KafkaProducer, KafkaAdminClient])
def test_every_client_knows_every_argument(client: Any, tmp_path: Path) -> None:
    """An argument that a client does not know would end the daemon at its start."""
    own = authority(tmp_path).server("client", days=1)  # key and certificate in one file
    options = client_options(Kafka(security_protocol="SASL_SSL", ssl_certfile=own, **LOGIN))
    assert set(options) <= set(client.DEFAULT_CONFIG)


def test_certificates_that_cannot_be_read_are_named_by_their_key(tmp_path: Path) -> None:
    """No PEM, a certificate without its key, a key with a passphrase: one line, and nobody is asked on a terminal."""
    good = authority(tmp_path)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        good.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"pass"))
    )
    for settings, named in (
        ({"ssl_cafile": nonsense}, "kafka.ssl_cafile names"),
        ({"ssl_certfile": good.certificate}, "kafka.ssl_certfile"),
        ({"ssl_certfile": good.certificate, "ssl_keyfile": locked}, "kafka.ssl_certfile"),
    ):
        with pytest.raises(ConfigError, match=named) as caught:
            client_options(Kafka(security_protocol="SSL", **settings))
        assert caught.value.remedy


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
