"""The short form of `make endurance`: the measuring itself is kept working, and its promises hold a few times over."""

from tests.reliability.endurance.swaps import swaps


def test_swaps_under_load_leave_no_record_unscored_and_mix_no_versions(kafka_tools: None) -> None:
    """Twelve versions in turn, odd ones scoring twice as high: each score is its stamped version's."""
    figures = swaps(12)
    missed = [figure.cells() for figure in figures if not figure.met and figure.unit != "MiB"]
    assert not missed, missed
