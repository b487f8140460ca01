"""A broker with logins and rights beside its open listener, for what a client without rights is told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from deploy.demo.broker import Broker, free_port

LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@contextmanager
def secured_broker(users: Mapping[str, str]) -> Iterator[tuple[Broker, str]]:
    """A broker and the address of its SASL_PLAINTEXT listener. The open listener's client may do everything."""
    broker = Broker(heap_mb=512)
    secured = f"127.0.0.1:{free_port()}"
    for key in ("listeners", "advertised.listeners"):
        broker.properties[key] += f",SASL_PLAINTEXT://{secured}"
    logins = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    broker.properties |= {
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{LOGIN} required {logins};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with broker:
        yield broker, secured


def grant(broker: Broker, user: str, kind: ResourceType, name: str, operations: tuple[ACLOperation, ...]) -> None:
    """Allows a user operations on a topic or group."""
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_acls(
            [
                ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
                for operation in operations
            ]
        )
    finally:
        admin.close()
