"""A broker with TLS, SCRAM-SHA-512 and ACLs: every login has the rights it was given and no others.

Its open listener is the administrator's (`Secured.broker.bootstrap`); nothing but test set-up goes through it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.local.broker import Broker, free_port
from tests.support.authority import Authority, authority

LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Right:
    """One allowed operation, as `kafka-acls` names its parts. prefixed: for every name that begins so."""

    principal: str
    operation: str
    kind: str
    name: str
    prefixed: bool = False

    def acl(self) -> ACL:
        """As the client library writes it."""
        pattern = ACLResourcePatternType.PREFIXED if self.prefixed else ACLResourcePatternType.LITERAL
        return ACL(
            f"User:{self.principal}", "*", ACLOperation[_constant(self.operation)], ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType[_constant(self.kind)], self.name, pattern),
        )  # fmt: skip

    def filter(self) -> ACLFilter:
        """What finds exactly this one."""
        acl = self.acl()
        place = acl.resource_pattern
        return ACLFilter(
            acl.principal, acl.host, acl.operation, acl.permission_type,
            ResourcePatternFilter(place.resource_type, place.resource_name, place.pattern_type),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Secured:
    """The broker, and its listeners for logins: one with a good certificate and one whose certificate has ended."""

    broker: Broker
    address: str
    expired: str
    authority: Authority

    def login(self, user: str, password_file: Path, **others: Any) -> dict[str, Any]:
        """The `kafka` section of a configuration for this user."""
        section = {
            "bootstrap_servers": self.address,
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.authority.certificate),
            "sasl_mechanism": MECHANISM,
            "sasl_username": user,
            "sasl_password_file": str(password_file),
        }
        return section | others

    def add_user(self, name: str, password: str) -> None:
        """Gives a login, or a login another password."""
        with self._admin() as admin:
            credential = UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password)
            assert admin.alter_user_scram_credentials([credential]) == {name: None}

    def grant(self, rights: Iterable[Right]) -> None:
        """Allows."""
        with self._admin() as admin:
            assert not admin.create_acls([right.acl() for right in rights])["failed"]

    def revoke(self, right: Right) -> None:
        """Takes one right away, which must have been there."""
        with self._admin() as admin:
            ((_, found, _),) = admin.delete_acls([right.filter()])
        assert len(found) == 1

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    """A broker with an authority of its own in `folder`; no login and no right yet."""
    signer = authority(folder)
    broker = Broker(heap_mb=512)
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("GOOD", "EXPIRED")}
    for name, address in addresses.items():
        for key in ("listeners", "advertised.listeners"):
            broker.properties[key] += f",{name}://{address}"
        broker.properties["listener.security.protocol.map"] += f",{name}:SASL_SSL"
        prefix = f"listener.name.{name.lower()}"
        certificate = signer.server(name.lower(), days=30 if name == "GOOD" else -1)
        broker.properties |= {
            f"{prefix}.ssl.keystore.type": "PEM",
            f"{prefix}.ssl.keystore.location": str(certificate),
            f"{prefix}.{MECHANISM.lower()}.sasl.jaas.config": LOGIN,
        }
    broker.properties |= {
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": MECHANISM,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with broker:
        yield Secured(broker, addresses["GOOD"], addresses["EXPIRED"], signer)


def _constant(word: str) -> str:
    """`TransactionalId` and `transactional-id` are TRANSACTIONAL_ID."""
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(word)).replace("-", "_").upper()
