"""Outputs that a topic refuses for their size: made smaller where that is possible, one line with the remedy else."""

import json
from pathlib import Path

import pytest

from detector.transports.messages import read_dead_letter
from schemas.feed import Reason
from tests.support.installation import install, story
from tests.support.kafka_client import Cluster, Message
from tests.support.malformed import body

SMALL = {"max.message.bytes": "20000"}


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_dead_letters_are_cut_and_scores_are_split(
    cluster: Cluster, store: Path, tmp_path: Path, delivery: str
) -> None:
    """The daemon goes on past them: coordinates and reason are whole, and every row has its score."""
    place = install(cluster, tmp_path, store, delivery=delivery, scores={"emit": "all"})
    for role in ("dead_letters", "scores"):
        cluster.configure(f"{place.group}.{role}", SMALL)
    rows = story(["pump-1"], 2000, {})
    long = Message(body(asset="x" * 300_000), key=b"k" * 60_000, headers=(("trace", b"t" * 30_000),))
    plain = Message(b"{" * 300_000, key=b"pump-1", headers=(("trace", b"7"),))
    cluster.produce(place.topic, [*rows[:1000], long, plain, *rows[1000:]])
    with place.daemon() as daemon:
        place.await_committed(len(rows) + 2)
        assert daemon.metric("watchkeeper_interruptions_total") > 0
        assert daemon.stop() == 0
    letters = {letter.offset: (letter, read) for read in place.read("dead_letters")
               for letter in [read_dead_letter(read.headers)]}  # fmt: skip
    assert {offset: letter.reason for offset, (letter, _) in letters.items()} == {
        1000: Reason.BAD_NAME,
        1001: Reason.NOT_JSON,
    }
    for offset, sent in ((1000, long), (1001, plain)):
        letter, read = letters[offset]
        assert sent.value is not None
        assert read.value is not None
        assert letter.cut_from_bytes == len(sent.value)
        assert sent.value.startswith(read.value)
        assert 0 < len(read.value) < 20_000
    assert letters[1001][1].headers[0] == ("trace", b"7")
    scored = [json.loads(read.value or b"")["offsets"] for read in place.read("scores")]
    assert {offset for part in scored for offset in part} == {*range(2002)} - {1000, 1001}
    assert "Traceback" not in place.log.read_text()


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_state_that_fits_nowhere_is_one_line(cluster: Cluster, store: Path, tmp_path: Path, delivery: str) -> None:
    """State cannot be cut: the line names topic, size and setting. No transaction stays open that readers wait for."""
    place = install(cluster, tmp_path, store, delivery=delivery, scores={"emit": "all"})
    state = f"{place.group}.state"
    cluster.configure(state, {"max.message.bytes": "300"})
    cluster.produce(place.topic, story([f"pump-{n}" for n in range(20)], 20, {}))
    with place.daemon() as daemon:
        assert daemon.wait(60) == 5
    assert f"{state} refuses a message of" in place.ending()
    assert "set max.message.bytes=" in place.ending()
    cluster.await_transactions(f"{place.group}.scores", within_s=5.0)  # the broker would take a minute
