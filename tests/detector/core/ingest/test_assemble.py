"""Long records become rows: a value is in its row, late, or of a sensor that no model has; none is lost silently."""

from collections.abc import Sequence

import pytest

from schemas.config import Feed, ScoresOut
from schemas.feed import Reason, RowFlag
from tests.support.plant import FakeRecord, settings, watch

LONG = Feed(form="long", lateness_s=2.0)


def long(values: Sequence[tuple[int, str]]) -> list[FakeRecord]:
    """A record for each (second, sensor)."""
    return [
        FakeRecord(i, b'{"asset":"a","timestamp":%d,"sensor":"%s","value":1}' % (1_700_000_000 + t, s.encode()))
        for i, (t, s) in enumerate(values)
    ]


def test_a_value_of_a_sensor_that_no_model_has_is_a_dead_letter() -> None:
    """With the record's coordinates and the reason; its neighbours become rows."""
    over = watch(settings(feed=LONG))
    outcome = over.process(long([(0, "s0"), (0, "colour"), (1, "s0"), (9, "s0")]), 0.0)
    assert [(dead.record.offset, dead.reason) for dead in outcome.dead_letters] == [(1, Reason.UNKNOWN_SENSOR)]
    assert sum(len(block.offsets) for block in outcome.scores) == 2


@pytest.mark.parametrize(("emit", "blocks"), [("all", 1), ("none", 0)])
def test_a_value_behind_the_watermark_is_late(emit: str, blocks: int) -> None:
    """Its row is closed: among the scores it stands flagged, where scores go out at all."""
    over = watch(settings(feed=LONG, scores=ScoresOut.model_validate({"emit": emit})))
    late = over.process(long([(0, "s0"), (1, "s0"), (90, "s0"), (1, "s1")]), 0.0).scores[-1:]
    assert len(late) == blocks
    assert [(block.offsets.tolist(), block.flags.tolist()) for block in late] == [([3], [RowFlag.LATE])] * blocks


def test_at_a_files_end_the_last_rows_come_out() -> None:
    """What waited for its lateness waits no longer; a wide feed has nothing that waits."""
    over = watch(settings(feed=LONG))
    assert over.process(long([(0, "s0"), (1, "s0")]), 0.0).records == 2
    assert over.finish(0.0).records == 2
    assert watch().finish(0.0).records == 0
