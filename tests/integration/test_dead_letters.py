"""Every kind of malformed record becomes a dead letter: original bytes, coordinates, a reason; the watch goes on."""

from pathlib import Path

from detector.transports.messages import read_dead_letter
from schemas.alert import AlertState
from schemas.feed import Reason
from tests.support.installation import by_id, install, story
from tests.support.kafka_client import Cluster, Message
from tests.support.malformed import MALFORMED, body


def test_every_malformed_record_comes_back_whole_with_its_reason(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Bad records of every kind in the middle of good ones: all accounted for, the alerts those of the good ones."""
    topic = cluster.create(cluster.unique("plant"), configs={"max.message.bytes": "12000000"})
    place = install(cluster, tmp_path, store, topic=topic)
    good = story(["pump-1"], 200, {100: 130})
    headers = (("trace", b"\x00\x01"), ("origin", "Gerät 7".encode()))
    bad = [Message(value, key=b"\xfe key", headers=headers) for value, _ in MALFORMED.values()]
    cluster.produce(topic, [*good[:110], *bad, *good[110:]])
    with place.daemon() as daemon:
        place.await_committed(len(good) + len(bad))
        counted = daemon.metric("watchkeeper_dead_letters_total")
        assert daemon.stop() == 0
    letters = place.read("dead_letters")
    found = {letter.offset: (letter, read) for read in letters for letter in [read_dead_letter(read.headers)]}
    assert len(letters) == len(found) == len(bad) == counted
    for offset, (kind, (value, reason)) in enumerate(MALFORMED.items(), start=110):
        letter, read = found[offset]
        assert (letter.topic, letter.partition, letter.reason) == (topic, 0, reason), kind
        assert read.value == value, kind
        assert read.key == b"\xfe key"
        assert read.headers[:2] == headers
        assert letter.detail
    states = [alert.data.state for alert in by_id(place.alerts()).values()]
    assert states.count(AlertState.OPENED) == states.count(AlertState.CLOSED) == 1


def test_a_record_of_ten_megabytes_is_a_dead_letter(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Where the input takes 10 MB, so does the dead-letter topic that `watchkeeper topics` makes, and the daemon."""
    topic = cluster.create(cluster.unique("plant"), configs={"max.message.bytes": "12000000"})
    place = install(cluster, tmp_path, store, topic=topic)
    huge = body(extra="x" * 10_000_000)
    cluster.produce(topic, [Message(huge), *story(["pump-1"], 20, {})], max_request_size=12_000_000)
    with place.daemon() as daemon:
        place.await_committed(21)
        assert daemon.stop() == 0
    [read] = place.read("dead_letters")
    assert read.value == huge
    assert read_dead_letter(read.headers).reason is Reason.TOO_LARGE


def test_nearly_nothing_but_bad_records_stops_the_daemon_loudly(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """Past the stated limit the exit code is 6, the line names the share, and every dead letter is there."""
    place = install(cluster, tmp_path, store, limits={"bad_of_last": 500, "bad_share": 0.9, "checkpoint_s": 0.5})
    cluster.produce(place.topic, [Message(b"{")] * 600)
    with place.daemon() as daemon:
        assert daemon.wait(60) == 6
    assert "could not be read" in place.log.read_text()
    assert "Traceback" not in place.log.read_text()
    assert len(place.read("dead_letters")) == 600


def test_no_payload_reaches_the_log(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    """What a record holds is not for the log, not even when it is malformed."""
    place = install(cluster, tmp_path, store)
    secret = "unmistakable-payload"
    records = [body(asset={"name": secret}), body(timestamp=secret), secret.encode(), body(asset=None, note=secret)]
    cluster.produce(place.topic, [Message(value) for value in records])
    with place.daemon() as daemon:
        place.await_committed(len(records))
        assert daemon.stop() == 0
    assert len(place.read("dead_letters")) == len(records)
    assert secret not in place.log.read_text()
