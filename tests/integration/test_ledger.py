"""The ledger: after SIGKILLs every input offset is among scores and dead letters, and equal to a run without faults."""

import time
from functools import partial
from itertools import pairwise
from pathlib import Path

from deploy.demo.process import DaemonProcess
from detector.shell.messages import read_dead_letter
from schemas.feed import Scores
from tests.integration.installation import Installation, by_id, install, story
from tests.kafka_client import Cluster, Message, eventually

Place = tuple[int, int]  # partition, offset
Entry = tuple[str, float | None, int]  # asset, score, flags
KILLS = 3


def feed() -> list[Message]:
    """Ten assets with faults, and a malformed record here and there."""
    messages: list[Message] = []
    for number, message in enumerate(story([f"pump-{n}" for n in range(10)], 400, {100: 130, 300: 320})):
        messages.append(message)
        if number % 97 == 0:
            messages.append(Message(b"{ not JSON", key=message.key))
    return messages


def ledger(place: Installation) -> tuple[dict[Place, Entry], set[Place]]:
    """Scores by place and places of dead letters; a place that comes twice must say the same."""
    scored: dict[Place, Entry] = {}
    for read in place.read("scores"):
        part = Scores.model_validate_json(read.value or b"")
        for offset, score, flags in zip(part.offsets, part.scores, part.flags, strict=True):
            entry = (part.asset, score, flags)
            assert scored.setdefault((part.partition, offset), entry) == entry
    letters = [read_dead_letter(read.headers) for read in place.read("dead_letters")]
    return scored, {(letter.partition, letter.offset) for letter in letters}


def test_every_offset_is_accounted_for_after_sigkills(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Killed three times while it works, then left to finish: no offset lost, none that says two things."""
    fine = install(cluster, tmp_path / "fine", store, partitions=3, scores={"emit": "all"})
    harmed = install(cluster, tmp_path / "harmed", store, partitions=3, scores={"emit": "all"})
    messages = feed()
    cluster.produce(fine.topic, messages)
    with fine.daemon() as daemon:
        fine.await_committed(len(messages))
        assert daemon.stop() == 0
    cuts = [len(messages) * part // (KILLS + 1) for part in range(KILLS + 2)]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        cluster.produce(harmed.topic, messages[begin:end])
        with harmed.daemon() as daemon:
            if number < KILLS:
                eventually(partial(works, daemon), what="records")
                time.sleep(0.1 * number)  # before, around and after a checkpoint
                daemon.kill()
            else:
                harmed.await_committed(len(messages))
                assert daemon.stop() == 0
    scored, letters = ledger(harmed)
    assert len(scored) + len(letters) == len(messages)
    assert not set(scored) & letters
    assert (scored, letters) == ledger(fine)
    assert told(harmed) == told(fine)


def told(place: Installation) -> list[tuple[str, str, str, float]]:
    """What the alerts say, without the ids that the topic's name goes into."""
    alerts = by_id(place.alerts()).values()
    return sorted((a.subject, a.time.isoformat(), a.data.state.value, a.data.peak_score) for a in alerts)


def works(daemon: DaemonProcess) -> bool:
    """Whether the daemon has processed anything."""
    daemon.wait_ready()
    return daemon.metric("watchkeeper_records_total") > 0
