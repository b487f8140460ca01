"""The whole way of a record with strangers' records: nothing is raised, and everything told can be sent."""

import numpy as np

from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from detector.transports.messages import outcome_messages
from schemas.config import Alarms
from tests.reliability.fuzz import decode
from tests.reliability.fuzz.target import Target
from tests.reliability.fuzz.usable import scorer_of, small_manifest
from tests.support.plant import settings

_FACTS = small_manifest()
_SETTINGS = [settings(feed=feed, alarms=Alarms(on_delay_s=0, missing_rows=1, range_rows=1)) for feed in decode.FEEDS]


def one(data: bytes) -> bool:
    """Processes a case as one poll, and then its end."""
    number, records = decode.records_of(data)
    watch = Watch(WatchSettings.of(_SETTINGS[number]), {"m": scorer_of(_FACTS)}, by_feed=True, topic="sensors")
    outcome = watch.process(records, 0.0)
    assert outcome.offsets == ({0: records[-1].offset + 1} if records else {})
    for message in outcome_messages(outcome):
        assert message.stream
    for block in outcome.scores:
        assert not np.isinf(block.scores).any()
    for message in outcome_messages(watch.finish(0.0)):
        assert message.value
    return len(watch.pipelines["m"].assets) > 0


TARGET = Target(
    name="process",
    promise="the way from record to alarm raises nothing, and all that it tells can be encoded",
    one=one,
    seeds=decode.seeds,
    mutate=decode.mutate,
    tokens=decode.TARGET.tokens,
    longest=1024,
)
