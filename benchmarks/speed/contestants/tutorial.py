"""The loop of every tutorial: one record at a time through json.loads, a deque and session.run, all defaults."""

import json
from collections import defaultdict, deque

import numpy as np
import onnxruntime
from kafka import KafkaConsumer, KafkaProducer

from benchmarks.speed.contestants.lap import Lap, Task
from benchmarks.speed.plant import SENSORS, WINDOW


def main() -> None:
    """Runs until the task's records were scored."""
    task = Task.from_arguments()
    session = onnxruntime.InferenceSession(task.graph)
    consumer = KafkaConsumer(
        task.topic,
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        auto_offset_reset="earliest",
    )
    producer = KafkaProducer(bootstrap_servers=task.bootstrap)
    windows: dict[str, deque[list[float]]] = defaultdict(lambda: deque(maxlen=WINDOW))
    lap: Lap | None = None
    alerts = 0
    for seen, message in enumerate(consumer, start=1):
        lap = lap or Lap()  # the group has been joined by now
        reading = json.loads(message.value)
        window = windows[reading["asset"]]
        window.append([reading[name] for name in SENSORS])
        if len(window) == WINDOW:
            score = session.run(["score"], {"window": np.array([window], dtype=np.float32)})[0][0]
            if score > task.threshold:
                producer.send(task.alerts, json.dumps({"asset": reading["asset"], "score": float(score)}).encode())
                alerts += 1
        if seen >= task.records:
            break
    if lap is not None:
        producer.flush()
        lap.finish(task.records, alerts)
    producer.close()
    consumer.close()


if __name__ == "__main__":
    main()
