"""Looking at topics and making them: the administrative side of the broker. Every call blocks."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from detector.errors import BrokerError
from detector.transports.kafka.clients import admin_client, explained
from detector.transports.kafka.connection import PATIENCE_S
from detector.transports.kafka.diagnosis import grant, who
from schemas.config import Kafka


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the broker describes it."""

    name: str
    partitions: int
    replication: int
    leaderless: int  # partitions that nobody leads just now
    rights: frozenset[str] | None  # READ, WRITE, ... of this client; None where the broker does not say
    settings: Mapping[str, str]  # empty where this client may not see them
    topic_id: str = ""  # empty where the broker gives none


@dataclass(frozen=True, slots=True)
class TopicOrder:
    """A topic to be made. replication -1: the broker's default."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


class Admin:
    """A connection for administration. Opening waits up to `wait_s` for a broker; raises BrokerError."""

    def __init__(self, kafka: Kafka, wait_s: float) -> None:
        # Without a handler Python prints the client's own warnings; what went wrong is said by the errors raised here.
        logging.getLogger("kafka").addHandler(logging.NullHandler())
        with explained(kafka, wait_s):
            self._client = admin_client(kafka, wait_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def brokers(self) -> int:
        """Number of brokers."""
        return len(_asked("the cluster", self._client.describe_cluster)["brokers"])

    def describe(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """Those of the topics that exist and that this client may see."""
        wanted = list(dict.fromkeys(names))
        found = [t for t in _asked("topics", self._client.describe_topics, wanted) if not t["error_code"]]
        settings = self._settings([topic["name"] for topic in found])
        return {topic["name"]: _facts(topic, settings.get(topic["name"], {})) for topic in found}

    def hidden(self, names: Iterable[str]) -> list[str]:
        """Those of the topics with which this client may do nothing, whether they are there or not."""
        answers = _asked("topics", self._client.describe_topics, list(names))
        return [topic["name"] for topic in answers if topic["error_code"] == TopicAuthorizationFailedError.errno]

    def create(self, orders: Iterable[TopicOrder]) -> None:
        """Makes topics one by one, so that a refusal names its topic, and waits until each can be used."""
        for order in orders:
            request = {
                "num_partitions": order.partitions,
                "replication_factor": order.replication,
                "configs": dict(order.settings),
            }
            _asked(
                f"creation of topic {order.name}",
                lambda name=order.name, request=request: self._client.create_topics(
                    {name: request}, wait_for_metadata=True
                ),
            )

    def may_use_group(self, group: str) -> bool:
        """Whether this client may read the group's offsets, which committing needs too."""
        try:
            self._client.list_group_offsets({group: None})
        except GroupAuthorizationFailedError:
            return False
        except KafkaError:
            return True  # a group that nobody used yet may have no coordinator; that is no lack of rights
        return True

    def _settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        try:
            answer = self._client.describe_configs(resources, config_filter="all")
        except KafkaError:
            return {}  # DESCRIBE_CONFIGS is a right of its own, and the daemon does not need it
        return {
            name: {key: entry["value"] for key, entry in entries.items()}
            for name, entries in answer.get("topic", {}).items()
        }


def absent(kafka: Kafka, wanted: Mapping[str, str]) -> BrokerError:
    """Why a client does not see topics: it may do nothing with them, or they are not there. Blocks.

    wanted: topic -> what we would do with it, `Read` or `Write`.
    """
    with Admin(kafka, PATIENCE_S) as admin:
        hidden = admin.hidden(wanted)
    if not hidden:
        return BrokerError(f"the broker has no topic {', '.join(wanted)}", "run: watchkeeper topics --create")
    lacks = ", ".join(f"{wanted[name].upper()} the topic {name}" for name in hidden)
    first = grant(wanted[hidden[0]], "topic", hidden[0])
    return BrokerError(f"{who(kafka)} may not {lacks}", first)


def _facts(topic: Mapping[str, Any], settings: Mapping[str, str]) -> TopicFacts:
    parts = topic["partitions"]
    rights = topic.get("authorized_operations")
    return TopicFacts(
        name=topic["name"],
        partitions=len(parts),
        replication=min((len(part["replica_nodes"]) for part in parts), default=0),
        leaderless=sum(part["leader_id"] < 0 for part in parts),
        rights=None if rights is None else frozenset(rights),
        settings=settings,
        topic_id=_topic_id(topic.get("topic_id")),
    )


def _topic_id(given: object) -> str:
    return str(given) if isinstance(given, UUID) and given.int else ""


def _asked(what: str, call: Any, *arguments: Any) -> Any:
    """Runs a request; its refusal becomes one line. kafka-python's own text repeats the whole request."""
    try:
        return call(*arguments)
    except KafkaError as error:
        raise BrokerError(f"the broker refuses {what} ({_reason(error)})", "see the reason in brackets") from None


def _reason(error: KafkaError) -> str:
    """The broker's own words where the response has some."""
    text = str(error)
    for quote in ('error_message="', "error_message='"):
        _, found, rest = text.partition(quote)
        if found:
            return rest.partition(quote[-1] + ",")[0][:200]
    return type(error).__name__
