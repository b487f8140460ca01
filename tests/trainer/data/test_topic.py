"""A span of a real topic as history: all of it, by offset, by time; what is not there is named."""

import json

import pytest

from detector.errors import BrokerError, DataError
from detector.transports.package import Span
from schemas.config import Kafka, Limits, Settings, Topics
from tests.support.kafka_client import Cluster, Message
from trainer.data.topic import parse_span, topic_history

START = 1_760_000_000
ROWS = 40


@pytest.fixture(scope="module")
def feed(cluster: Cluster) -> Settings:
    """Two pumps in two partitions, a row a second, broker times equal to event times, one record that is none."""
    topic = cluster.create(cluster.unique("history"), 2)
    rows = [
        Message(
            json.dumps({"asset": f"pump-{pump}", "timestamp": START + n, "flow": n, "heat": 60 + pump}).encode(),
            partition=pump,
            timestamp=(START + n) * 1000,
        )
        for n in range(ROWS)
        for pump in (0, 1)
    ]
    cluster.produce(topic, [*rows, Message(b"{oops", partition=1, timestamp=(START + ROWS) * 1000)])
    return Settings(kafka=Kafka(bootstrap_servers=cluster.bootstrap), topics=Topics(input=topic))


def test_the_whole_topic(feed: Settings) -> None:
    """Every readable record of every partition; a note counts the bad one."""
    history = topic_history(feed, Span(), None, None)
    assert history.sensors == ("flow", "heat")
    assert [asset.name for asset in history.assets] == ["pump-0", "pump-1"]
    assert history.assets[0].values[:, 0].tolist() == list(range(ROWS))
    assert history.notes == (f"1 of {2 * ROWS + 1} records could not be read and were left out",)


def test_a_span_by_offset(feed: Settings) -> None:
    """Offsets count in each partition; the end is not included."""
    history = topic_history(feed, parse_span("5..15"), ["flow"], None)
    assert [asset.values[:, 0].tolist() for asset in history.assets] == [list(range(5, 15))] * 2


def test_a_span_by_time(feed: Settings) -> None:
    """From the first record at or after the begin to the last one before the end."""
    history = topic_history(feed, Span(begin_ms=(START + 10) * 1000, end_ms=(START + 20) * 1000), None, None)
    assert history.assets[0].times.tolist() == [START + n for n in range(10, 20)]
    later = topic_history(feed, Span(begin_ms=(START + 30) * 1000), None, None)
    assert later.assets[0].times.tolist() == [START + n for n in range(30, ROWS)]


def test_an_empty_span_and_a_missing_topic(feed: Settings) -> None:
    """Both are one line: the span that holds nothing, the topic that is not there."""
    with pytest.raises(DataError, match="is empty"):
        topic_history(feed, Span(begin_ms=(START + 9999) * 1000), None, None)
    gone = feed.model_copy(update={"topics": Topics(input="nowhere")})
    with pytest.raises(DataError, match="no topic 'nowhere'"):
        topic_history(gone, Span(), None, None)


def test_a_broker_that_is_away() -> None:
    """Ends when limits.broker_wait_s says, with the address and what to check."""
    away = Settings(kafka=Kafka(bootstrap_servers="127.0.0.1:1"), limits=Limits(broker_wait_s=0.5))
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        topic_history(away, Span(), None, None)
