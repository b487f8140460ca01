"""Following scores: each record counts once, and what was not scored is known."""

import json
import math
import time
from pathlib import Path

from schemas.config import Files, Settings
from schemas.feed import RowFlag, Scores
from trainer.demo.follow import Follower, ScoreLog


def _message(**changes: object) -> bytes:
    message = {
        "asset": "pump-1", "model": "pumps", "model_version": "v1", "topic": "sensors", "partition": 0,
        "threshold": 4.0, "offsets": [3, 4], "times_s": [60.0, 120.0], "scores": [2.0, None], "flags": [0, 1],
    } | changes  # fmt: skip
    return Scores.model_validate_json(json.dumps(message)).model_dump_json().encode()


def test_a_record_told_twice_counts_once() -> None:
    """Delivery is at least once."""
    log = ScoreLog()
    log.add(_message())
    log.add(_message())
    log.add(_message(partition=1))
    assert len(log.seen) == 4
    assert log.times["pump-1"] == [60.0, 120.0, 60.0, 120.0]


def test_scores_are_told_as_a_share_of_their_threshold() -> None:
    """Two models with two thresholds can be drawn on one axis."""
    log = ScoreLog()
    log.add(_message())
    times, ratios = log.course("pump-1")
    assert times.tolist() == [60.0, 120.0]
    assert ratios[0] == 0.5
    assert math.isnan(ratios[1])


def test_only_a_filling_window_excuses_a_record_without_a_score() -> None:
    """Late, unfillable or unwatched records are counted as unscored."""
    log = ScoreLog()
    log.add(_message())
    assert log.unscored == 0
    log.add(_message(offsets=[5, 6], flags=[0, int(RowFlag.UNFILLABLE)]))
    assert log.unscored == 1


def test_a_new_version_is_noted_at_its_first_score() -> None:
    """That is when the daemon swapped."""
    log = ScoreLog()
    log.add(_message())
    log.add(_message(model_version="v2", offsets=[7, 8], times_s=[180.0, 240.0]))
    assert log.swapped == {"v1": 60.0, "v2": 180.0}


def test_a_follower_gives_lines_as_they_are_written(tmp_path: Path) -> None:
    """It waits for a file that is not there yet."""
    follower = Follower(Settings(transport="files", files=Files(directory=tmp_path)), "watchkeeper.alerts")
    assert list(follower.take()) == []
    path = tmp_path / "watchkeeper.alerts.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    got: list[bytes] = []
    deadline = time.monotonic() + 10
    while len(got) < 1 and time.monotonic() < deadline:
        got += follower.take()
    with path.open("ab") as file:
        file.write(b"2}\n")
    while len(got) < 2 and time.monotonic() < deadline:
        got += follower.take()
    assert got == [b'{"a":1}', b'{"a":2}']
