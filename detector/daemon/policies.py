"""When to do what: a checkpoint, a stop for bad input, a pause between polls or tries. None of them reads a clock.

`now` is a monotonic time in seconds. The loop asks and acts; a reload gives them other limits, and they go on.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace

from detector.core.outcome import Outcome
from detector.core.tally import Fault, Tally
from schemas.config import Limits

_ALERT_WAIT_S = 0.25
_FEWEST_BAD = 10  # records that a span must hold before it can stop the daemon
_BLIND_AFTER_S, _FEWEST_BLIND = 60.0, 3  # seconds and records after which blindness is told
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


@dataclass(frozen=True, slots=True)
class _Poll:
    """What a poll gave, and when."""

    records: int
    dead_letters: int
    now: float
    newest_s: float  # the feed's newest event time; -inf: there is none yet

    def seconds_to(self, later: "_Poll") -> float:
        """By the clock or by the feed's own time, whichever is more."""
        fed = later.newest_s - self.newest_s if self.newest_s > 0 else 0.0
        return max(later.now - self.now, fed)


class BadInputPolicy:
    """Where nearly everything is bad, the feed changed and nobody watches the plant: then the daemon stops."""

    def __init__(self, limits: Limits) -> None:
        self.configure(limits)
        self._polls: deque[_Poll] = deque()

    def configure(self, limits: Limits) -> None:
        """Takes up another share, another number of records, or another span."""
        self._share, self._of_last, self._span_s = limits.bad_share, limits.bad_of_last, limits.bad_span_s

    def add(self, records: int, dead_letters: int, now: float, newest_s: float) -> tuple[int, int] | None:
        """Counts a poll; (bad, records) where too many are bad, else None.

        Of the last limits.bad_of_last records, or of those of the last limits.bad_span_s where these are fewer.
        """
        if not records:
            return None
        last = _Poll(records, dead_letters, now, newest_s)
        self._polls.append(last)
        total = sum(poll.records for poll in self._polls)
        while self._enough(total - self._polls[0].records, self._polls[min(1, len(self._polls) - 1)], last):
            total -= self._polls.popleft().records
        bad = sum(poll.dead_letters for poll in self._polls)
        return (bad, total) if self._enough(total, self._polls[0], last) and bad > self._share * total else None

    def _enough(self, records: int, first: _Poll, last: _Poll) -> bool:
        """Whether the polls from `first` to `last` decide."""
        return records >= self._of_last or (records >= _FEWEST_BAD and first.seconds_to(last) >= self._span_s)


class BlindnessPolicy:
    """Where of what is read nearly nothing is read or scored, a minute of it is enough to say so.

    The minute is the clock's or the feed's own, whichever is over first. What is found lasts until records are scored.
    """

    def __init__(self, limits: Limits) -> None:
        self.configure(limits)
        self.fault: Fault | None = None
        self._tally, self._first, self._newest_s = Tally(), _Poll(0, 0, 0.0, 0.0), float("-inf")

    def configure(self, limits: Limits) -> None:
        """Takes up another share."""
        self._share = limits.bad_share

    def add(self, outcome: Outcome, unwatched: Collection[str], now: float) -> Fault | None:
        """Counts a poll; what is wrong, if anything is. unwatched: assets that no rule names."""
        if not self._tally.records:
            self._first = _Poll(0, 0, now, self._newest_s)
        if self._first.newest_s < 0:  # before the feed's first row it has no time
            self._first = replace(self._first, newest_s=outcome.newest_s)
        self._newest_s = outcome.newest_s
        self._tally.add(outcome)
        last = _Poll(0, 0, now, self._newest_s)
        if self._tally.records >= _FEWEST_BLIND and self._first.seconds_to(last) >= _BLIND_AFTER_S:
            self.fault = self._tally.blindness(self._share, unwatched)
            self._tally = Tally()
        elif self.fault and outcome.scored and len(outcome.dead_letters) <= self._share * outcome.records:
            self.fault, self._tally = None, Tally()
        return self.fault


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
