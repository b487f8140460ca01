"""Alarms against labelled events, as a person on call counts them. An event is a run of anomalous rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Doubles
from trainer.metrics.alarms import Alarm


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after an event's first row its alarm opened; 0 where one was open already."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Alarms against events. Counts of several series add up.

    >>> one = EventCounts(events=2, alarms=4, true_alarms=1, delays=(Delay(3, 180.0),))
    >>> (one + one).events, one.recall, one.precision, one.delay
    (4, 0.5, 0.25, Delay(rows=3, seconds=180.0))
    """

    events: int
    alarms: int
    true_alarms: int  # alarms that overlap an event
    delays: tuple[Delay, ...]  # of the events that were found

    def __add__(self, other: "EventCounts") -> "EventCounts":
        return EventCounts(
            self.events + other.events,
            self.alarms + other.alarms,
            self.true_alarms + other.true_alarms,
            self.delays + other.delays,
        )

    @property
    def recall(self) -> float | None:
        """Share of events with an alarm; None without an event."""
        return len(self.delays) / self.events if self.events else None

    @property
    def precision(self) -> float | None:
        """Share of alarms that overlap an event; None without an alarm."""
        return self.true_alarms / self.alarms if self.alarms else None

    @property
    def delay(self) -> Delay | None:
        """The median over found events; None where none was found."""
        if not self.delays:
            return None
        rows = float(np.median([delay.rows for delay in self.delays]))
        return Delay(round(rows), float(np.median([delay.seconds for delay in self.delays])))


def spans(labels: Bools) -> list[tuple[int, int]]:
    """First and last row of each run of True in labels (row,).

    >>> spans(np.array([False, True, True, False, True]))
    [(1, 2), (4, 4)]
    """
    edges = np.flatnonzero(np.diff(np.r_[False, labels, False]))
    return list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def match(labels: Bools, times: Doubles, alarms: Sequence[Alarm]) -> EventCounts:
    """Alarms against the events of labels (row,): they meet where they share a row. times: (row,) seconds.

    >>> labels = np.array([False, False, True, True, False, False])
    >>> match(labels, 60.0 * np.arange(6), [Alarm(opened=3, last=4)])
    EventCounts(events=1, alarms=1, true_alarms=1, delays=(Delay(rows=1, seconds=60.0),))
    """
    events = spans(labels)
    delays = []
    for begin, end in events:
        met = [alarm for alarm in alarms if alarm.opened <= end and alarm.last >= begin]
        if met:
            opened = max(met[0].opened, begin)
            delays.append(Delay(opened - begin, float(times[opened] - times[begin])))
    true = sum(any(alarm.opened <= end and alarm.last >= begin for begin, end in events) for alarm in alarms)
    return EventCounts(len(events), len(alarms), true, tuple(delays))
