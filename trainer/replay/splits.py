"""Which windows are fitted on and which are held out: cuts in time, with a margin so that no row is on both sides."""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Bools, Ints
from detector.errors import DataError
from trainer.replay.windows import Replay

CHUNK_WINDOWS = 50  # windows without overlap in a chunk, at least, or the margins would take most of it
MAX_CHUNKS = 4


@dataclass(frozen=True, slots=True)
class Split:
    """Window numbers, ascending. No row of a held-out window is in a window of `rest`."""

    held: Ints
    rest: Ints


def validation(replay: Replay, within: Ints, share: float) -> Split:
    """Holds out the last `share` of each chunk of an asset's windows among `within`, in time.

    A short history is one chunk: its last part. A long one is several, or a new season at its end would only ever be
    judged by and never fitted.

    >>> numbers = np.arange(12)  # windows of 2 rows, a row apart
    >>> replay = Replay(None, 0 * numbers, numbers, 1.0 * numbers, numbers == 0, window=2)
    >>> split = validation(replay, numbers, share=0.25)
    >>> split.held.tolist(), split.rest.tolist()
    ([9, 10, 11], [0, 1, 2, 3, 4, 5, 6, 7])
    """
    rank, size = _ranks(replay, within)
    place = rank * _chunks(replay, size) / np.maximum(size, 1) % 1.0
    return _apart(replay, within, (place >= 1.0 - share) | (rank == size - 1))


def blocked(replay: Replay, folds: int) -> list[Split]:
    """Cuts each asset's windows into blocks in time, dealt out to `folds` parts, and holds out one after the other.

    Blocks, since neighbours in time are alike: held-out windows strewn among fitted ones would be known already. A
    long history gives each part several of them, or a season that only one block has seen would be judged by a
    network that knows nothing of it, and the threshold would be that of a stranger.

    >>> numbers = np.arange(12)
    >>> replay = Replay(None, 0 * numbers, numbers, 1.0 * numbers, numbers == 0, window=2)
    >>> [split.held.tolist() for split in blocked(replay, folds=3)]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    >>> blocked(replay, folds=3)[1].rest.tolist()  # windows 3 and 8 share a row with a held-out one
    [0, 1, 2, 9, 10, 11]
    """
    everything = np.arange(len(replay))
    rank, size = _ranks(replay, everything)
    rounds = _chunks(replay, size // folds)
    block = rank * (folds * rounds) // np.maximum(size, 1)
    return [_apart(replay, everything, block % folds == number) for number in range(folds)]


def thinned(chosen: Ints, most: int) -> Ints:
    """At most `most` of the windows, evenly spread.

    >>> thinned(np.arange(10), most=4).tolist()
    [0, 3, 6, 9]
    """
    if len(chosen) <= most:
        return chosen
    return chosen[np.linspace(0, len(chosen) - 1, most).astype(np.int64)]


def check_sizes(replay: Replay, splits: list[Split], least: int, source: str) -> None:
    """Raises DataError where a split leaves too little to fit on or nothing to judge by."""
    for split in splits:
        if len(split.rest) < least or not len(split.held):
            raise DataError(
                f"{source} gives {len(replay)} windows of {replay.window} rows; with the held-out windows set aside "
                f"{len(split.rest)} are left to fit on, and {least} are the least",
                "give more history, lower training.<model>.window, or set training.<model>.folds to 0",
            )


def _ranks(replay: Replay, chosen: Ints) -> tuple[Ints, Ints]:
    """Each chosen window's place among its asset's chosen windows, and how many these are."""
    slots = replay.slots[chosen]
    count = np.bincount(slots, minlength=int(replay.slots.max()) + 1)
    begin = np.concatenate([[0], np.cumsum(count)])[slots]
    return np.arange(len(chosen)) - begin, count[slots]


def _chunks(replay: Replay, size: Ints) -> Ints:
    """Into how many chunks of time an asset's windows can be cut. size: their number."""
    return np.clip(size // (CHUNK_WINDOWS * replay.window), 1, MAX_CHUNKS)


def _apart(replay: Replay, chosen: Ints, held: Bools) -> Split:
    """Drops from the rest every window that shares a row with a held-out one."""
    rows, reach = replay.rows[chosen], replay.window - 1
    taken = np.append(np.sort(rows[held]), np.iinfo(np.int64).max)
    nearest = taken[np.searchsorted(taken, rows - reach)]
    return Split(chosen[held], chosen[~held & (nearest > rows + reach)])
