"""The parts of a pipeline that remember something of each asset, and how their memory is grown, written and read.

A part keeps arrays with a row a slot. What a checkpoint holds of it is its own business: it dumps columns, a value a
slot, and validates what it loads.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from detector.core.arrays import Ints
from detector.core.ingest.fields import FLOAT32_MAX

Columns = Mapping[str, Sequence[Any]]  # field of a checkpoint's asset -> a value a slot, in the slots' order
_Kind = TypeVar("_Kind", bound=np.generic)


class Component(Protocol):
    """A memory of many assets, by slot. `slots` are distinct.

    depends_on: fields of a checkpoint's asset that must be as the pipeline has them; where they differ, the memory
    begins anew. Empty: the memory is the asset's own, whatever its model is.
    """

    depends_on: ClassVar[tuple[str, ...]]

    def grow(self, capacity: int) -> None:
        """Makes room for slots below `capacity`."""
        ...

    def forget(self, slots: Ints) -> None:
        """Empties slots for their next owners."""
        ...

    def adopt(self, old: Self) -> None:
        """Takes over what the same part knew before another version of the model came."""
        ...

    def dump(self, slots: Ints) -> Columns:
        """What a checkpoint keeps of slots."""
        ...

    def load(self, slots: Ints, columns: Columns) -> None:
        """Takes up what `dump` gave, all slots at once. Raises ValueError for what no feed can have left."""
        ...


def grown(array: NDArray[_Kind], capacity: int, fill: float, axis: int = 0) -> NDArray[_Kind]:
    """An array with room for `capacity` slots along an axis; never a shorter one.

    >>> grown(np.array([1, 2]), 4, 0).tolist()
    [1, 2, 0, 0]
    """
    shape = list(array.shape)
    shape[axis] = max(capacity - shape[axis], 0)
    return np.concatenate([array, np.full(shape, fill, array.dtype)], axis=axis)


def pack(array: NDArray[Any]) -> list[bytes]:
    """The rows of an array as little-endian bytes.

    >>> pack(np.array([[1.0, 2.0]], np.float32))[0].hex()
    '0000803f00000040'
    """
    return [row.tobytes() for row in array]


def unpack(
    data: Sequence[bytes], kind: DTypeLike, shape: tuple[int, ...], *, missing: bool = True, most: float = FLOAT32_MAX
) -> NDArray[Any]:
    """Arrays of exactly this shape, (slot, *shape): numpy would spread a shorter one. missing: a cell may be NaN.

    Raises ValueError for another length, and for a value beyond `most`.

    >>> unpack(pack(np.array([[1.0, 2.0]], np.float32)), np.float32, (2,)).tolist()
    [[1.0, 2.0]]
    """
    size = np.dtype(kind).itemsize * math.prod(shape)
    if any(len(each) != size for each in data):
        raise ValueError("the checkpoint has an array of another length")
    arrays = np.frombuffer(b"".join(data), kind).reshape(len(data), *shape)
    if (arrays > most).any() or (arrays < -most).any() or not (missing or np.isfinite(arrays).all()):
        raise ValueError("the checkpoint has a value that no feed can have given")
    return arrays
