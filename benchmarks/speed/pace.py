"""A feed that sends as it happens, at a steady rate; each record's event time is the moment of its sending.

Run as a process of its own: python -m benchmarks.speed.pace --bootstrap HOST:PORT --topic NAME --rate 2000 --seconds 30
"""

import argparse
import time

from kafka import KafkaProducer

from benchmarks.speed.plant import ASSETS, Excursions, encode, values

TICK_S = 0.005  # records due within a tick are sent together, as a gateway would
EXCURSIONS = Excursions(every=100, length=10)
ROWS = 500  # rows made at once; they repeat, which no window of 32 rows notices


def pace(bootstrap: str, topic: str, rate: float, seconds: float) -> int:
    """Sends until the time is up; gives the number of records. Falls behind rather than bursting without end."""
    cells = [values(asset, 0, ROWS, EXCURSIONS) for asset in range(len(ASSETS))]
    keys = [name.encode() for name in ASSETS]
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2)
    width = len(producer.partitions_for(topic))
    sent, begun = 0, time.monotonic()
    try:
        while (passed := time.monotonic() - begun) < seconds:
            while sent < passed * rate:
                row, asset = divmod(sent, len(ASSETS))
                record = encode(ASSETS[asset], round(time.time(), 6), cells[asset][row % ROWS])
                producer.send(topic, value=record, key=keys[asset], partition=asset % width)
                sent += 1
            time.sleep(TICK_S)
        producer.flush()
    finally:
        producer.close()
    return sent


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rate", type=float, default=2000.0, help="records a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    print(pace(given.bootstrap, given.topic, given.rate, given.seconds))


if __name__ == "__main__":
    main()
