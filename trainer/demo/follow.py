"""Following what the daemon and the worker write, over files and Kafka alike, while the story goes on."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.errors import WatchkeeperError
from detector.transports.registry import transport_of
from schemas.config import Settings
from schemas.feed import RowFlag


class Follower:
    """Reads one topic from its beginning in the background. `take` gives what came since."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._messages: SimpleQueue[bytes | WatchkeeperError] = SimpleQueue()
        # A daemon thread: it waits for messages for ever, and the demo must be able to end.
        threading.Thread(target=self._read, args=(settings, topic), daemon=True, name=f"follow {topic}").start()

    def _read(self, settings: Settings, topic: str) -> None:
        try:
            for message in transport_of(settings).read_topic(settings, topic, follow=True):
                self._messages.put(message)
        except WatchkeeperError as error:
            self._messages.put(error)

    def take(self) -> Iterator[bytes]:
        """Messages that came since the last call. Raises what stopped the reading."""
        while True:
            try:
                message = self._messages.get_nowait()
            except Empty:
                return
            if isinstance(message, WatchkeeperError):
                raise message
            yield message


class _Packed(msgspec.Struct):
    """The part of schemas.feed.Scores that is looked at; msgspec, since there are some hundred thousand scores."""

    asset: str
    model_version: str | None
    threshold: float | None
    partition: int
    offsets: list[int]
    times_s: list[float]
    scores: list[float | None]
    flags: list[int]


@dataclass(slots=True)
class ScoreLog:
    """All scores so far, by asset; duplicates (same partition and offset) are counted once."""

    times: dict[str, list[float]] = field(default_factory=dict)  # event time, seconds
    ratios: dict[str, list[float]] = field(default_factory=dict)  # score / threshold; NaN where unscored
    swapped: dict[str, float] = field(default_factory=dict)  # model version -> event time of its first score
    seen: set[tuple[int, int]] = field(default_factory=set)
    unscored: int = 0  # without a score for another reason than a window that is filling

    def add(self, message: bytes) -> None:
        """Takes one message of the scores topic."""
        packed = _DECODER.decode(message)
        times, ratios = self.times.setdefault(packed.asset, []), self.ratios.setdefault(packed.asset, [])
        if packed.model_version is not None and packed.model_version not in self.swapped:
            self.swapped[packed.model_version] = min(packed.times_s)
        for offset, time, score, flag in zip(packed.offsets, packed.times_s, packed.scores, packed.flags, strict=True):
            if (packed.partition, offset) in self.seen:
                continue
            self.seen.add((packed.partition, offset))
            times.append(time)
            ratios.append(np.nan if score is None or not packed.threshold else score / packed.threshold)
            if score is None and not flag & RowFlag.WARMING:
                self.unscored += 1

    def course(self, asset: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times (row,) and score / threshold (row,) of an asset, in order of time."""
        times, ratios = np.array(self.times.get(asset, [])), np.array(self.ratios.get(asset, []))
        order = np.argsort(times, kind="stable")
        return times[order], ratios[order]


_DECODER = msgspec.json.Decoder(_Packed)
