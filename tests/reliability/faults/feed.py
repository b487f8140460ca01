"""The known feed: every record's place and what must become of it follow from a few numbers.

It holds what a ledger can trip over: incidents that open and close, late and repeated rows, missing cells, gaps longer
than the bundle allows, and records that cannot be read. It is feed_topic into a topic once; every run watches it anew.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from schemas.manifest import DriftReference, ReferenceSignal, Scoring
from tests.support.installation import START_S, record
from tests.support.kafka_client import Message
from tests.support.tiny_bundle import Tiny, tiny

PARTITIONS = 4
ASSETS = tuple(f"pump-{number}" for number in range(20))
# Records of the short form of a fault, and of the long one.
SHORT, LONG = 4_000, 200_000


def bundles() -> tuple[Tiny, ...]:
    """What the store holds from the beginning; each model has one version."""
    return bundle("pump"), tiny("v1", model="plain"), drifting()


def bundle(model: str) -> Tiny:
    """The tiny bundle with a memory: smoothed errors and scores, so that one row lost or doubled shows in the next."""
    plain = tiny("v1", model=model)
    scoring = Scoring(
        method="mahalanobis", vector_alpha=0.5, center=(0.0, 0.0), precision=((1.0, 0.0), (0.0, 1.0)), score_alpha=0.5
    )
    sensors = tuple(sensor.model_copy(update={"stuck_rows": 20}) for sensor in plain.manifest.sensors)
    return replace(plain, manifest=plain.manifest.model_copy(update={"scoring": scoring, "sensors": sensors}))


def drifting() -> Tiny:
    """A bundle to whose reference no asset of the feed has ever been near."""
    plain = bundle("drifting")
    signals = (ReferenceSignal(name="flow", mean=0.0, block_sd=0.1),)
    drift = DriftReference(block_rows=10, signals=signals)
    return replace(plain, manifest=plain.manifest.model_copy(update={"drift": drift}))


@dataclass(frozen=True, slots=True)
class FaultFeed:
    """Messages with their partitions; `name` tells feeds apart."""

    name: str
    messages: tuple[Message, ...]
    partitions: int = PARTITIONS
    compression: str | None = None  # of the producer
    sections: Mapping[str, Any] = field(default_factory=dict)  # of the configuration that reads it


def steady(records: int) -> FaultFeed:
    """Twenty assets, a row a second each, faults and oddities all along; exactly so many records."""
    messages: list[Message] = []
    for second in range(records):
        messages += _second(second)
        if len(messages) >= records:
            break
    return FaultFeed(f"steady-{records}", tuple(messages[:records]))


def one_sensor_a_record(records: int) -> FaultFeed:
    """The steady feed in the long form: temperature comes 1.5 s after flow, and by exception."""
    sent: list[tuple[float, Message]] = []
    clock = START_S
    for number, message in enumerate(steady(records).messages):
        try:
            row = json.loads(message.value or b"")
        except ValueError:
            sent.append((clock, message))
            continue
        head = {"asset": row.pop("asset"), "timestamp": row.pop("timestamp")}
        clock = max(clock, head["timestamp"])
        for delay_s, (sensor, value) in zip((0.0, 1.5), sorted(row.items()), strict=False):
            if value is not None and (not delay_s or number % 3):
                body = json.dumps({**head, "sensor": sensor, "value": value}).encode()
                sent.append((clock + delay_s, replace(message, value=body)))
    sent.sort(key=itemgetter(0))
    sections = {"feed": {"form": "long", "lateness_s": 3.0}}
    return FaultFeed(f"long-{records}", tuple(message for _, message in sent), sections=sections)


def _second(second: int) -> Iterator[Message]:
    for number, asset in enumerate(ASSETS):
        if number == 3 and second % 500 < 15:
            continue  # longer than the bundle's max_gap_s
        lifted = (second + 37 * number) % 150 < 20
        ripple = 0.1 * ((second * 7 + number) % 5)
        flow = None if (second + number) % 29 == 0 else (22.0 if lifted else 10.0) + ripple
        yield placed(number, record(asset, second, flow, 50.0 - ripple))
    odd = second % len(ASSETS)
    if second % 11 == 7:
        yield placed(odd, record(ASSETS[odd], second - 3, 99.0, 99.0))  # late
    if second % 13 == 5:
        yield placed(odd, record(ASSETS[odd], second, 10.0, 50.0))  # the time of the row before: a duplicate
    if second % 5 == 2:
        yield placed(second, Message(b"{ not JSON %d" % second))


def placed(number: int, message: Message) -> Message:
    """The message with its partition; the transport's time is the event's, so that every run sees the same."""
    second = _event_s(message.value or b"")
    return replace(message, partition=number % PARTITIONS, timestamp=int(second * 1000))


def _event_s(value: bytes) -> float:
    try:
        return float(json.loads(value)["timestamp"])
    except ValueError:
        return START_S
