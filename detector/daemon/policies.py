"""When to do what: a checkpoint, a stop for bad input, a pause between polls or tries. None of them reads a clock.

`now` is a monotonic time in seconds. The loop asks and acts; a reload gives them other limits, and they go on.
"""

from collections import deque

from schemas.config import Limits

_ALERT_WAIT_S = 0.25
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


class CheckpointPolicy:
    """State and offsets are committed every limits.checkpoint_s, counted from the last try."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._every_s = limits.checkpoint_s
        self._last = now
        self._hurried = float("inf")

    def configure(self, limits: Limits) -> None:
        """Takes up another interval, from the last checkpoint on."""
        self._every_s = limits.checkpoint_s

    def begun(self, now: float) -> None:
        """A checkpoint is being made: the next one is due an interval from here, whether it succeeds or not."""
        self._last, self._hurried = now, float("inf")

    def hurry(self, now: float) -> None:
        """An alert waits for the commit, which makes it visible: a quarter of a second, not the whole interval."""
        self._hurried = min(self._hurried, now + _ALERT_WAIT_S)

    def due(self, now: float) -> bool:
        """Whether it is time."""
        return now >= min(self._last + self._every_s, self._hurried)


class BadInputPolicy:
    """Where nearly everything is bad, the feed changed and nobody watches the plant: then the daemon stops."""

    def __init__(self, limits: Limits) -> None:
        self._share, self._of_last = limits.bad_share, limits.bad_of_last
        self._polls: deque[tuple[int, int]] = deque()  # (records, dead letters) of recent polls

    def configure(self, limits: Limits) -> None:
        """Takes up another share, or another number of records."""
        self._share, self._of_last = limits.bad_share, limits.bad_of_last

    def add(self, records: int, dead_letters: int) -> tuple[int, int] | None:
        """Counts a poll; (bad, records) of the last limits.bad_of_last records where too many are bad, else None."""
        if not records:
            return None
        self._polls.append((records, dead_letters))
        total = sum(count for count, _ in self._polls)
        while total - self._polls[0][0] >= self._of_last:
            total -= self._polls.popleft()[0]
        bad = sum(letters for _, letters in self._polls)
        return (bad, total) if total >= self._of_last and bad > self._share * total else None


class PollPace:
    """Polls keep limits.poll_interval_ms between them, so that windows come in batches, unless the feed is behind."""

    def __init__(self, limits: Limits) -> None:
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        """Takes up another interval."""
        self._interval_s = limits.poll_interval_ms / 1000
        self._behind = limits.poll_records // 2  # records in a poll

    def pause_s(self, begun: float, now: float, records: int) -> float:
        """How long to wait before the next poll; the last one began at `begun` and gave so many records."""
        return max(begun + self._interval_s - now, 0.0) if records < self._behind else 0.0


class RetryPause:
    """The pause between two tries to go on: twice as long each time, until one succeeds.

    A stop signal waits no longer than one pause.
    """

    def __init__(self, shortest_s: float = _SHORTEST_PAUSE_S, longest_s: float = _LONGEST_PAUSE_S) -> None:
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._pause_s = 0.0

    def next_s(self) -> float:
        """The pause before the next try."""
        self._pause_s = min(max(2 * self._pause_s, self._shortest_s), self._longest_s)
        return self._pause_s

    def succeeded(self) -> None:
        """The next failure waits briefly again."""
        self._pause_s = 0.0
