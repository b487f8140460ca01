"""Filling a topic with the benchmark's feed."""

import time

from kafka import KafkaProducer

from benchmarks.speed.plant import ASSETS, Excursions, block

ROWS = 250  # rows encoded at once
EXCURSIONS = Excursions(every=10_000, length=30)  # an incident an asset and three hours: far above any alarm budget


def fill(bootstrap: str, topic: str, partitions: int, records: int) -> int:
    """Produces at least `records` records, one row of every asset after the other, keyed by asset; gives their number.

    Event times are a second apart and end now: a feed that caught up. Blocks; 25,000 to 40,000 records/s.
    """
    rows = -(-records // len(ASSETS))
    start_s = float(int(time.time()) - rows)
    keys = [name.encode() for name in ASSETS]
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=50, batch_size=262_144)
    try:
        for first in range(0, rows, ROWS):
            for row in block(first, min(ROWS, rows - first), start_s, 1.0, EXCURSIONS):
                for asset, value in enumerate(row):
                    producer.send(topic, value=value, key=keys[asset], partition=asset % partitions)
            producer.flush()  # the accumulator has no bound of its own
    finally:
        producer.close()
    return rows * len(ASSETS)
