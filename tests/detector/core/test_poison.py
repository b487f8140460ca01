"""What a producer sends neither ends nor swells the daemon."""

import tracemalloc

from detector.core.state import checkpoint
from detector.core.state.codec import STATE_VERSION, Bucket, bucket_key, bucket_of, decode_bucket, encode
from schemas.config import WatchRule
from schemas.feed import Reason
from tests.support.plant import START_S, settings, watch, wide


def test_a_thousand_long_names_leave_no_memory_behind() -> None:
    """Neither the table of watched assets nor that of the unwatched keeps a name of a megabyte."""
    for rule in (WatchRule(model="m"), WatchRule(model="m", assets=("pump-*",))):
        over = watch(settings(watch=(rule,)))
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1000):
            outcome = over.process([wide(number, f"{number}" + "x" * 1_000_000, START_S + number, (0, 0, 0))], 0.0)
            reasons = [letter.reason for letter in outcome.dead_letters]
            assert reasons == ([] if rule.assets == ("pump-*",) else [Reason.BAD_NAME])
        del outcome
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert grown < 2_000_000


def test_a_checkpoint_with_a_name_without_bound_is_restored_without_it() -> None:
    """A state of before names had a bound must not end each restart with an alert that no topic takes."""
    old, long = watch(), "x" * 350_000
    old.process([wide(t, "short", START_S + t, (0, 0, 0)) for t in range(9)], 0.0)
    entries = dict(checkpoint.snapshot(old, 0, 9))
    state = next(iter(decode_bucket(entries[bucket_key(bucket_of("short"))]).assets))
    state.asset = long
    entries[bucket_key(bucket_of(long))] = encode(Bucket(STATE_VERSION, 0, [state], 9))
    fresh = watch()
    assert checkpoint.restore(fresh, 0, entries, START_S) == 9
    late = fresh.process([wide(9, "other", START_S + 1000, (0, 0, 0))], 0.0)
    assert long not in {alert.subject for alert in late.alerts}
    assert "short" in {alert.subject for alert in late.alerts}


def test_the_unwatched_are_counted_within_bounds() -> None:
    """Ten thousand names: a thousand are listed, all are counted."""
    over = watch(settings(watch=(WatchRule(model="m", assets=("pump-*",)),)))
    records = [wide(n, f"{n}" + "x" * 190, START_S, (0, 0, 0)) for n in range(10_000)]
    outcome = over.process(records, 0.0)
    assert len(over.unwatched) == 1000
    assert sum(outcome.flags.values()) == 10_000
