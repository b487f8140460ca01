"""What every contestant shares: its arguments, a consumer with the daemon's fetch settings, and its result."""

import argparse
import json
import resource
import time
from dataclasses import dataclass
from typing import Self

from kafka import KafkaConsumer, TopicPartition


@dataclass(frozen=True, slots=True)
class Task:
    """What to read and, where a contestant scores, with what."""

    bootstrap: str
    topic: str
    records: int  # stop after so many
    alerts: str  # topic for alerts
    group: str
    graph: str  # path of the ONNX file
    threshold: float  # of the graph's own score

    @classmethod
    def from_arguments(cls) -> Self:
        """Reads the command line that benchmarks.speed.laps writes."""
        parser = argparse.ArgumentParser()
        for name in ("bootstrap", "topic", "alerts", "group", "graph"):
            parser.add_argument(f"--{name}", required=True)
        parser.add_argument("--records", type=int, required=True)
        parser.add_argument("--threshold", type=float, required=True)
        return cls(**vars(parser.parse_args()))

    def consumer(self) -> KafkaConsumer:
        """A consumer of all partitions from their beginning, with the daemon's fetch settings; commits by hand."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=5000,
            max_partition_fetch_bytes=1_048_576,
            isolation_level="read_committed",
            metrics_enabled=False,
        )
        partitions = [TopicPartition(self.topic, number) for number in consumer.partitions_for_topic(self.topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        return consumer


class Lap:
    """Takes wall time and processor time from its making to `finish`."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def finish(self, records: int, alerts: int) -> None:
        """Prints the result as one line of JSON."""
        result = {
            "records": records,
            "seconds": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._processor,  # all threads
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "alerts": alerts,
        }
        print(json.dumps(result), flush=True)
