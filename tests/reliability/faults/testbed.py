"""What all runs of the matrix share: a broker, a model store, the feeds in their topics, their fault-free outputs."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from deploy.local.broker import Broker, free_port
from deploy.local.toxiproxy import Proxy
from detector.bundles.store import Store
from tests.reliability.faults import feed
from tests.reliability.faults.daemon_run import FINE, PACED, SLOW, DaemonRun
from tests.reliability.faults.feed import FaultFeed
from tests.reliability.faults.ledger import RunOutputs
from tests.support.kafka_client import Cluster

AT_LEAST_ONCE, EXACTLY_ONCE = "at_least_once", "exactly_once"


@dataclass(frozen=True, slots=True)
class FeedTopic:
    """A feed in its topic. ends: partition -> number of records."""

    feed: FaultFeed
    topic: str
    ends: dict[int, int]


class FaultTestbed:
    """A context: the broker runs inside it. records: length of the steady feed; kills: how often a run is hit.

    properties: of the broker, beside its own.
    """

    def __init__(
        self, folder: Path, records: int = feed.SHORT, kills: int = 2, properties: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.records, self.kills = folder, records, kills
        self.broker = Broker(folder / "broker")
        self._inner, self._outer = free_port(), free_port()
        for key, port in (("listeners", self._inner), ("advertised.listeners", self._outer)):
            self.broker.properties[key] += f",PROXIED://127.0.0.1:{port}"
        self.broker.properties["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        self.broker.properties["inter.broker.listener.name"] = "PLAINTEXT"
        # The harness measures gaps and restarts by the broker's own clock; feeds keep the times they were given.
        self.broker.properties["log.message.timestamp.type"] = "LogAppendTime"
        self.broker.properties |= properties or {}
        self.store = folder / "models"
        self._numbers = itertools.count()
        self._feed_topics: dict[str, FeedTopic] = {}
        self._baselines: dict[tuple[str, str], RunOutputs] = {}
        self._proxy: Proxy | None = None
        self._lock = RLock()  # runs are made side by side

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        models = Store(str(self.store))
        for bundle in feed.bundles():
            bundle.publish(models)
            models.promote(bundle.manifest.model, "v1")
        self.broker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.broker.kill()
        if self._proxy is not None:
            self._proxy.close()

    @property
    def proxy(self) -> Proxy:
        """What stands before the listener `proxied`; started when the first fault asks for it."""
        if self._proxy is None:
            self._proxy = Proxy(self._outer, self._inner)
        return self._proxy

    @property
    def proxied(self) -> str:
        """The broker's address through the proxy; it advertises itself there by that address."""
        return f"127.0.0.1:{self._outer}"

    @property
    def long(self) -> bool:
        """Whether this is the long form."""
        return self.records > feed.SHORT

    @property
    def outage_s(self) -> float:
        """How long something does not answer; the long form outlasts the client's request timeout of 30 s."""
        return 35.0 if self.long else 5.0

    @property
    def cluster(self) -> Cluster:
        """The broker, seen directly."""
        return Cluster(self.broker.bootstrap)

    def name(self, word: str) -> str:
        """A name that no other run has used, not even one of another process on the same broker's storage."""
        return f"{word}-{os.getpid()}-{next(self._numbers)}"

    def steady(self) -> FeedTopic:
        """The feed that most faults harm."""
        return self.publish(feed.steady(self.records))

    def publish(self, wanted: FaultFeed) -> FeedTopic:
        """A feed in a topic of its own, produced the first time it is asked for."""
        with self._lock:
            return self._publish(wanted)

    def _publish(self, wanted: FaultFeed) -> FeedTopic:
        if wanted.name not in self._feed_topics:
            topic = self.name(wanted.name)
            # Its records are months old, and must stay; their times are the events', whatever the broker's default.
            configs = {"retention.ms": "-1", "message.timestamp.type": "CreateTime", "max.message.bytes": "12000000"}
            self.cluster.create(topic, wanted.partitions, configs)
            self.cluster.produce(topic, wanted.messages, 12_000_000, wanted.compression)
            self._feed_topics[wanted.name] = FeedTopic(wanted, topic, self.cluster.ends(topic))
        return self._feed_topics[wanted.name]

    def daemons(self, feed_topic: FeedTopic, guarantee: str, *, proxied: bool = False, **sections: Any) -> DaemonRun:
        """A run over a feed, not started yet."""
        run, sections = self.name("run"), {**feed_topic.feed.sections, **sections}
        if proxied:
            self.proxy.heal()
            sections["kafka"] = sections.get("kafka", {}) | {"bootstrap_servers": self.proxied}
        return DaemonRun(
            self.cluster, self.folder / run, self.store, feed_topic.topic, feed_topic.ends, run, guarantee, sections
        )

    def paced(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The sections of a run over the steady feed: a short one is spread over seconds, to have a middle."""
        if self.long:
            return sections | {"limits": FINE | sections.get("limits", {})}
        return self.spread(sections)

    def spread(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The sections of a run over a short feed."""
        return sections | {"kafka": SLOW | sections.get("kafka", {}), "limits": PACED | sections.get("limits", {})}

    def baseline(self, feed_topic: FeedTopic, model: str = "pump") -> RunOutputs:
        """The outputs of a run without faults, made once for each feed and model."""
        with self._lock:
            if (feed_topic.topic, model) not in self._baselines:
                with self.daemons(feed_topic, AT_LEAST_ONCE, watch=[{"model": model}]) as daemons:
                    daemons.start()
                    daemons.finish()
                    self._baselines[feed_topic.topic, model] = daemons.outputs()
            return self._baselines[feed_topic.topic, model]
