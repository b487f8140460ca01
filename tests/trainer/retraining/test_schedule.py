"""The schedule counts from a model's newest version, however often the worker restarts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from trainer.retraining.schedule import Schedule

MADE = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Versions:
    """A store's newest versions; counts how often it is asked."""

    def __init__(self, **made: datetime | None) -> None:
        self.made = made
        self.asked = 0

    def __call__(self, model: str) -> datetime | None:
        self.asked += 1
        return self.made[model]


def hours(count: int) -> Iterator[datetime]:
    """A clock: the hours since the version was made."""
    return (MADE + hour * HOUR for hour in range(count))


def test_a_worker_that_restarts_every_hour_asks_all_the_same() -> None:
    """A schedule of a day, with a new process every hour: the model is due when its version is a day old."""
    versions = Versions(m=MADE)
    due = [now for now in hours(30) if Schedule(["m"], DAY.total_seconds(), versions).due(now)]
    assert due[0] == MADE + DAY


def test_one_process_asks_once_a_period() -> None:
    """Between two requests a whole period passes, also where no version comes of them."""
    schedule = Schedule(["m"], DAY.total_seconds(), Versions(m=MADE))
    assert [now - MADE for now in hours(80) if schedule.due(now)] == [DAY, 2 * DAY, 3 * DAY]


@pytest.mark.parametrize("trained_after", [3 * HOUR, DAY - HOUR])
def test_a_training_by_others_puts_it_off(trained_after: timedelta) -> None:
    """A person's training, or another worker's, counts as well: the next one is due a period after it."""
    versions = Versions(m=MADE)
    schedule, due = Schedule(["m"], DAY.total_seconds(), versions), []
    for now in hours(60):
        if now == MADE + trained_after:
            versions.made["m"] = now
        if schedule.due(now):
            due.append(now - MADE)
    assert due[0] == trained_after + DAY


def test_a_model_without_a_version_is_due_at_once() -> None:
    """And only that model."""
    schedule = Schedule(["old", "new"], DAY.total_seconds(), Versions(old=MADE, new=None))
    assert schedule.due(MADE + HOUR) == ["new"]
    assert schedule.due(MADE + 2 * HOUR) == []


def test_the_store_is_read_only_when_a_model_may_be_due() -> None:
    """The worker asks twice a second; a store may be far away."""
    versions = Versions(m=MADE)
    schedule = Schedule(["m"], DAY.total_seconds(), versions)
    for second in range(1000):
        assert schedule.due(MADE + timedelta(seconds=second)) == []
    assert versions.asked == 1
