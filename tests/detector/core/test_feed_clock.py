"""The feed's clock: one asset's stamp of the future moves nobody else's silence."""

import pytest

from schemas.alert import AlertState, Condition
from tests.support.plant import START_S, FakeRecord, replay, watch, wide

FUTURE_S = 6_974_000_000.0  # in the year 2191


def records(times: list[tuple[str, float]]) -> list[FakeRecord]:
    """A row an entry: asset, time in seconds after the start."""
    return [wide(n, asset, START_S + t, (0.1 * (n % 7), 0.2 * (n % 5), 0.3)) for n, (asset, t) in enumerate(times)]


def silences(rows: list[FakeRecord], poll: int) -> list[tuple[str, AlertState, float]]:
    """Who was silent, and when it was said."""
    alerts = replay(watch(), rows, poll).alerts.values()
    found = [(a.subject, a.data.state, a.time.timestamp() - START_S) for a in alerts if a.data.condition is SILENT]
    return sorted(found)


SILENT = Condition.SILENT


@pytest.mark.parametrize("poll", [1, 7, 500])
@pytest.mark.parametrize("stays", [False, True])
def test_one_record_of_the_far_future_ends_no_silence(poll: int, stays: bool) -> None:
    """It makes nobody silent, and b's real silence is told fifty seconds later; also where the asset stays there."""
    times = [(asset, float(t)) for t in range(120) for asset in "abc" if asset != "b" or t < 50]
    rows = records(times)
    for n in range(100, len(rows) if stays else 101):
        if times[n][0] == "a":
            rows[n] = wide(n, "a", FUTURE_S + n, (0.1 * (n % 7), 0.2 * (n % 5), 0.3))
    told = [entry for entry in silences(rows, poll) if entry[0] != "a"]
    assert told == [("b", AlertState.OPENED, 49 + 30)]


@pytest.mark.parametrize("poll", [1, 7, 500])
def test_a_standstill_of_the_plant_is_followed(poll: int) -> None:
    """After three days of nothing most assets are back: the one that is not is silent, whatever the polls."""
    later = 3 * 86_400.0
    times = [(asset, float(t)) for t in range(20) for asset in "abc"]
    times += [(asset, later + t) for t in range(90) for asset in "ac"]
    opened = [entry for entry in silences(records(times), poll) if entry[1] is AlertState.OPENED]
    assert opened == [(asset, AlertState.OPENED, 19 + 30) for asset in "abc"]
