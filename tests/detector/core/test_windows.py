"""Windows: whatever the polls, the windows are those of a row-by-row reading."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.arrays import Floats, Ints
from detector.core.arrivals import CLOCK_RESET_ROWS, Arrivals
from detector.core.slots import sorted_rows
from detector.core.windows import Advance, Windows, WindowShape
from schemas.feed import RowFlag

SENSORS = 2
Row = tuple[int, float, tuple[float, ...]]  # slot, time, values


def by_hand(rows: list[Row], shape: WindowShape) -> list[tuple[bool, int]]:
    """Scored or not, and the first value of the window's oldest row, read row by row in plain Python."""
    held: dict[int, list[tuple[float, tuple[float, ...]]]] = {}
    runs: dict[int, int] = {}
    late: dict[int, int] = {}
    out = []
    for slot, time, values in rows:
        past = held.setdefault(slot, [])
        if past and time <= past[-1][0]:
            late[slot] = late.get(slot, 0) + 1
            if late[slot] < CLOCK_RESET_ROWS:
                out.append((False, -1))
                continue
            past.clear()
        late[slot] = 0
        if past and time - past[-1][0] > shape.max_gap_s:
            past.clear()
        runs[slot] = 1 if not past else runs[slot] + 1
        past.append((time, values))
        full = runs[slot] >= shape.window and (runs[slot] - shape.window) % shape.stride == 0
        cells = np.array([v for _, v in past[-shape.window :]])
        fine = full and np.isnan(cells).mean() <= shape.fill_limit + 1e-9
        out.append((fine, int(cells[0, 0]) if fine and not np.isnan(cells[0, 0]) else -1))
    return out


class Memory:
    """Arrivals and windows together, as a pipeline has them."""

    def __init__(self, shape: WindowShape, capacity: int = 4) -> None:
        self.arrivals, self.windows = Arrivals(capacity), Windows(shape, capacity)

    def advance(self, slots: Sequence[int], times: Sequence[float], values: Floats) -> Advance:
        """Rows in order of arrival; values (row, sensor)."""
        screened = self.arrivals.screen(sorted_rows(np.array(slots, np.int64), np.array(times, np.float64), values))
        return self.windows.slide(screened, screened.kept_rows.values)


rows_of = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([1.0, 1.0, 1.0, 1.0, 2.0, 7.0, 0.0, -3.0]),
        st.booleans(),
    ),
    max_size=60,
)


@given(rows_of, st.integers(1, 5), st.integers(1, 3), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_windows_equal_a_row_by_row_reading_for_any_polls(
    steps: list[tuple[int, float, bool]], window: int, stride: int, polls: list[int]
) -> None:
    """Late rows, gaps, missing cells, strides and polls of any size give the windows of a plain reading."""
    shape = WindowShape(window, SENSORS, stride, max_gap_s=5.0, fill_limit=0.5)
    clock: dict[int, float] = {}
    rows: list[Row] = []
    for number, (slot, step, missing) in enumerate(steps):
        clock[slot] = clock.get(slot, 100.0) + step
        rows.append((slot, clock[slot], (float(number), float("nan") if missing else 0.0)))
    memory = Memory(shape)
    seen: dict[int, tuple[bool, int]] = {}
    begin = 0
    sizes = iter(polls * 60)
    while begin < len(rows):
        part = rows[begin : begin + next(sizes)]
        values = np.array([r[2] for r in part], np.float32)
        advance = memory.advance([r[0] for r in part], [r[1] for r in part], values)
        found = advance.windows(0, len(advance.scored))
        for position in range(len(part)):
            seen[begin + int(advance.screened.rows.source[position])] = (False, -1)
        for position, cells in zip(advance.scored.tolist(), found, strict=True):
            seen[begin + int(advance.screened.rows.source[position])] = (True, int(cells[0, 0]))
        begin += len(part)
    assert [seen[i] for i in range(len(rows))] == by_hand(rows, shape)


@given(rows_of, st.integers(1, 4), st.integers(1, 3))
def test_resets_are_those_between_and_after_the_scored_rows(
    steps: list[tuple[int, float, bool]], window: int, stride: int
) -> None:
    """A gap or a clock reset empties a score's memory before the next scored row, or after the last one."""
    clock: dict[int, float] = {}
    slots, times = [], []
    for slot, step, _ in steps:
        clock[slot] = clock.get(slot, 100.0) + step
        slots.append(slot)
        times.append(clock[slot])
    shape = WindowShape(window, SENSORS, stride, max_gap_s=5.0, fill_limit=0.5)
    found = Memory(shape).advance(slots, times, np.zeros((len(slots), SENSORS), np.float32))
    scored, resets = set(found.scored.tolist()), set(found.resets.tolist())
    before, pending = [], set[int]()
    for position, slot in enumerate(found.screened.rows.slots.tolist()):
        pending |= {slot} if position in resets else set()
        if position in scored:
            before.append(slot in pending)
            pending -= {slot}
    assert found.reset_before().tolist() == before
    assert found.reset_after().tolist() == sorted(pending)


def one_slot(memory: Memory, times: list[float], first: float = 0.0) -> Ints:
    values = np.full((len(times), SENSORS), first, np.float32)
    screened = memory.advance([0] * len(times), times, values).screened
    return np.asarray(screened.flags[np.argsort(screened.rows.source)])


def test_a_clock_set_back_is_late_and_then_followed() -> None:
    """One wild timestamp must not shut an asset out for ever."""
    memory = Memory(WindowShape(1, SENSORS, 1, 1e9, 0.0))
    one_slot(memory, [1e9])
    flags = one_slot(memory, [100.0 + i for i in range(CLOCK_RESET_ROWS + 2)])
    assert (flags[: CLOCK_RESET_ROWS - 1] == RowFlag.LATE).all()
    assert flags[CLOCK_RESET_ROWS - 1] == RowFlag.CLOCK_RESET
    assert (flags[CLOCK_RESET_ROWS:] == 0).all()


@pytest.mark.parametrize(("share", "scored"), [(0.5, True), (0.49, False)])
def test_the_fill_limit_is_the_largest_share_that_is_scored(share: float, scored: bool) -> None:
    """A window with half of its cells missing is scored at a limit of a half, and not below it."""
    values = np.array([[1.0, np.nan], [1.0, np.nan]], np.float32)
    advance = Memory(WindowShape(2, SENSORS, 1, 10.0, share)).advance([0, 0], [1.0, 2.0], values)
    assert (len(advance.scored) == 1) is scored


def test_another_version_takes_over_the_rows() -> None:
    """After a swap to the same window nothing has to warm up; a longer window waits only for what it lacks."""
    old = Memory(WindowShape(3, SENSORS, 1, 10.0, 0.0))
    one_slot(old, [1.0, 2.0, 3.0, 4.0])
    same, longer = (Memory(WindowShape(w, SENSORS, 1, 10.0, 0.0)) for w in (3, 5))
    for memory in (same, longer):
        memory.arrivals.load(np.array([0]), old.arrivals.dump(np.array([0])))
        memory.windows.adopt(old.windows)
    assert one_slot(same, [5.0]).tolist() == [0]
    assert one_slot(longer, [6.0, 7.0, 8.0]).tolist() == [RowFlag.WARMING, RowFlag.WARMING, 0]
