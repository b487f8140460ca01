"""The upper bound: poll with kafka-python and throw everything away."""

from benchmarks.speed.contestants.lap import Lap, Task


def main() -> None:
    """Polls until the task's records were seen."""
    task = Task.from_arguments()
    consumer = task.consumer()
    lap, seen = Lap(), 0
    while seen < task.records:
        seen += sum(map(len, consumer.poll(timeout_ms=500).values()))
    lap.finish(seen, 0)
    consumer.close()


if __name__ == "__main__":
    main()
