"""The tick: nothing is committed before what it gave was delivered, and no message from outside stops it."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest
from kafka.errors import CommitFailedError
from structlog.testing import capture_logs

from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from detector.core.state.codec import MARKER, Marker, Owner, decode_marker, encode
from detector.daemon.health import Health
from detector.daemon.lifecycle import _drain
from detector.daemon.loop import Loop
from detector.daemon.metrics import Metrics
from detector.daemon.swaps import log_old_keys
from detector.daemon.systemd import Notifier
from detector.errors import BadInputLimit, BrokerError, DataError, PartitionsLost, RetriableError
from detector.transports.interface import ControlRecord, Message, Polled, Stream
from detector.transports.kafka.diagnosis import translate_error
from schemas.config import Drift, Feed, Limits, Settings, WatchRule
from schemas.control import ModelPublished
from tests.support.plant import FakeRecord
from tests.support.tiny_bundle import WHEN, tiny


class FakeTransport:
    """A broker in memory that writes down the order of what it is asked."""

    topic = "sensors"
    owner = Owner("watchkeeper", "sensors")

    def __init__(self, polls: list[list[bytes]], state: Mapping[bytes, bytes] | None = None) -> None:
        self.polls = polls
        self.state = dict(state or {})
        self.calls: list[str] = []
        self.sent: list[Message] = []
        self.committed: dict[int, int] = {}
        self.messages: list[ControlRecord] = []
        self.fails = False
        self.resumed: list[int | None] = []
        self.given: list[bytes] = []
        self._offset = 0
        self._assigned = False

    def poll(self, timeout_s: float, most: int) -> Polled:
        self.calls.append("poll")
        if not self._assigned:
            self._assigned = True
            return Polled(assigned=frozenset({0}))
        if not self.polls:
            return Polled(ended=True)
        values = self.polls.pop(0)
        records = [FakeRecord(self._offset + i, value) for i, value in enumerate(values)]
        self.given += values
        self._offset += len(records)
        return Polled(records)

    def restore(self, partition: int, advanced: object = None) -> Mapping[bytes, bytes]:
        return self.state

    def resume(self, partition: int, offset: int | None) -> int:
        self.resumed.append(offset)
        if (again := self.given[offset or 0 :]) and (offset or 0) < self._offset:
            self.polls.insert(0, again)  # what was read since comes again
        self.given = self.given[: offset or 0]
        self._offset = offset or 0
        return self._offset

    def recover(self) -> None:
        self.calls.append("recover")

    def send(self, message: Message) -> None:
        self.calls.append(f"send {message.stream.value}")
        self.sent.append(message)

    def flush(self, timeout_s: float) -> None:
        self.calls.append("flush")
        if self.fails:
            raise RetriableError("a delivery failed", "look at the broker")
        self.state |= {m.key or b"": m.value or b"" for m in self.sent if m.stream is Stream.STATE}

    def commit(self, offsets: Mapping[int, int], timeout_s: float) -> None:
        self.calls.append("commit")
        self.committed.update(offsets)

    def control(self) -> list[ControlRecord]:
        messages, self.messages = self.messages, []
        return messages

    def close(self, timeout_s: float) -> None:
        self.calls.append("close")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two versions, the first of them current."""
    made = Store(str(tmp_path / "models"))
    for version in ("v1", "v2"):
        tiny(version).publish(made)
    made.promote("pumps", "v1")
    return made


def loop(store: Store, transport: FakeTransport, *, feed: Feed | None = None, **limits: float) -> Loop:
    settings = Settings(
        store=store.url,
        feed=feed or Feed(),
        watch=(WatchRule(model="pumps"),),
        limits=Limits.model_validate({"checkpoint_s": 1e-6, "poll_interval_ms": 0, **limits}),
        drift=Drift(enabled=False),
    )
    scorers = {"pumps": load_bundle(store, "pumps", "v1")}
    return Loop(settings, transport, scorers, Metrics(), Health(), clock=lambda: 1e9)


def line(second: int, flow: float = 10.0) -> bytes:
    return json.dumps({"asset": "p", "timestamp": 1e9 + second, "flow": flow, "temperature": 50.0}).encode()


def test_offsets_are_committed_after_outputs_and_state_are_confirmed(store: Store) -> None:
    """poll, send, flush, send state, flush, commit: in this order and no other."""
    transport = FakeTransport([[line(i, 30.0) for i in range(9)] + [b"rubbish"]])
    over = loop(store, transport)
    over.tick()
    transport.calls.clear()
    over.tick()
    order = [call for i, call in enumerate(transport.calls) if i == 0 or transport.calls[i - 1] != call]
    assert order == ["poll", "send dead_letters", "send alerts", "flush", "send state", "flush", "commit"]
    assert transport.committed == {0: 10}
    marker = [m for m in transport.sent if m.key == MARKER][-1]
    assert marker.partition == 0
    assert decode_marker(marker.value or b"").next_offset == 10


def alerts(transport: FakeTransport) -> list[bytes | None]:
    return [m.value for m in transport.sent if m.stream is Stream.ALERTS]


def test_an_unconfirmed_delivery_commits_nothing_and_is_made_up_for(store: Store) -> None:
    """When the broker does not confirm, offsets stay; once it does, the same records come again and say the same."""
    feed = [[line(0)], [line(i, 30.0) for i in range(1, 9)], [line(9, 30.0)]]
    fine, harmed = FakeTransport(list(feed)), FakeTransport(list(feed))
    over = loop(store, fine)
    while over.tick():
        pass
    over = loop(store, harmed)
    over.tick()
    over.tick()
    harmed.fails = True
    assert over.tick()
    assert (over.health.ready, harmed.committed) == (False, {0: 1})
    harmed.fails = False
    harmed.sent.clear()
    while over.tick():
        pass
    assert (over.health.ready, harmed.committed) == (True, {0: 10})
    assert alerts(harmed) == alerts(fine) != []
    assert over.watch.pipelines["pumps"].windows.run.max() == 10


def test_rows_that_wait_at_the_end_of_a_file_are_counted_by_flag(store: Store) -> None:
    """What the last rows of long records gave is in the metrics, flags included."""
    value = {"asset": "p", "timestamp": 1e9, "sensor": "flow", "value": 10.0}  # its row waits for the temperature
    over = loop(store, FakeTransport([[json.dumps(value).encode()]]), feed=Feed(form="long"))
    while over.tick():
        pass
    assert over.metrics.rows.labels("warming")._value.get() == 1


def test_records_that_retention_took_are_counted_and_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A jump of the offset is never silent, and the next checkpoint stands behind it."""
    transport = FakeTransport([[line(0)]])
    over = loop(store, transport)
    over.tick()
    over.tick()
    transport.poll = lambda *_: Polled(gaps={0: (1, 41)})  # type: ignore[method-assign]
    over.tick()
    assert over.metrics.gap_records._value.get() == 40
    assert transport.committed == {0: 41}
    assert "records lost before they were read" in capsys.readouterr().out


def test_a_gap_of_a_partition_that_was_taken_away_is_its_next_owners(store: Store) -> None:
    """Retention and a rebalance in one poll: nothing of a partition that is not ours any more is written."""
    transport = FakeTransport([[line(0)]])
    over = loop(store, transport)
    over.tick()
    over.tick()
    transport.poll = lambda *_: Polled(lost=frozenset({0}), gaps={0: (1, 41)})  # type: ignore[method-assign]
    transport.sent.clear()
    over.tick()
    over.tick()
    assert over.metrics.gap_records._value.get() == 0
    assert (transport.committed, transport.sent) == ({0: 1}, [])


def test_a_restart_goes_on_where_the_state_stands(store: Store) -> None:
    """The marker's offset is where the partition resumes, and nothing is warmed up again."""
    first = FakeTransport([[line(i) for i in range(5)]])
    over = loop(store, first)
    over.tick()
    over.tick()
    entries = {m.key or b"": m.value or b"" for m in first.sent if m.stream is Stream.STATE}
    second = FakeTransport([[line(5)]], entries)
    again = loop(store, second)
    again.tick()
    assert second.resumed == [5]
    again.tick()
    assert second.committed == {0: 6}
    assert again.watch.pipelines["pumps"].windows.run.max() == 6


def test_state_of_another_version_stops_the_daemon_with_a_line(store: Store) -> None:
    """Unreadable state is refused by name, never misread and never dropped."""
    transport = FakeTransport([], {MARKER: b"rubbish"})
    with pytest.raises(DataError, match="partition 0 is refused"):
        loop(store, transport).tick()


def test_too_much_bad_input_stops_loudly(store: Store) -> None:
    """Past the stated share of the last records the daemon stops; every dead letter was delivered and committed."""
    transport = FakeTransport([[line(i) for i in range(10)], [b"x"] * 10, [b"x"] * 10])
    over = loop(store, transport, bad_of_last=15, bad_share=0.7)
    over.tick()
    over.tick()
    over.tick()
    with pytest.raises(BadInputLimit, match="20 of the last 20 records"):
        over.tick()
    assert sum(m.stream is Stream.DEAD_LETTERS for m in transport.sent) == 20
    assert transport.committed == {0: 30}


def announce(store: Store, version: str, sha: str | None = None) -> ControlRecord:
    from detector.bundles.loading import load_manifest

    digest = sha or load_manifest(store, "pumps", version)[1]
    message = ModelPublished(id="1", model="pumps", model_version=version, manifest_sha256=digest, at=WHEN)
    return ControlRecord(message.model_dump_json().encode(), "here")


def test_an_announced_model_is_taken_up_between_polls(store: Store) -> None:
    """The poll in hand is scored by the old version, the next one by the new."""
    transport = FakeTransport([[line(i, 30.0) for i in range(8)], [line(8 + i) for i in range(20)]])
    over = loop(store, transport)
    over.tick()
    transport.messages = [announce(store, "v2")]
    over.tick()
    over.tick()
    versions = [
        json.loads(m.value or b"")["data"]["model_version"] for m in transport.sent if m.stream is Stream.ALERTS
    ]
    assert versions == ["v1", "v2"]


def test_a_manifest_with_keys_of_before_is_read_and_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that an older trainer published works as it did; the log says which names are old."""
    path = Path(store.url) / "pumps" / "v1" / "manifest.json"
    document = json.loads(path.read_text())
    document["scoring"]["parts"] = document["scoring"].pop("components")
    path.write_text(json.dumps(document))
    log_old_keys(store, load_bundle(store, "pumps", "v1"))
    said = capsys.readouterr().out
    assert "old key in manifest" in said
    assert "scoring.parts" in said
    log_old_keys(store, load_bundle(store, "pumps", "v2"))
    assert "scoring" not in capsys.readouterr().out


@pytest.mark.parametrize("sha", ["0" * 64])
def test_a_bundle_that_is_not_the_announced_one_is_refused(store: Store, sha: str) -> None:
    """A swapped manifest does not come in; the model in use stays and the refusal is counted."""
    transport = FakeTransport([[line(0)], [line(1)]])
    over = loop(store, transport)
    over.tick()
    transport.messages = [announce(store, "v2", sha)]
    over.tick()
    assert over.watch.pipelines["pumps"].manifest.model_version == "v1"
    assert over.metrics.refusals.labels("pumps")._value.get() == 1


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\xff", b'{"type": "model_published"}', b'{"type": "retrain_request", "version": 9}']
)
def test_a_malformed_control_message_is_refused_and_counted(store: Store, data: bytes) -> None:
    """Nothing on the control topic stops the daemon."""
    transport = FakeTransport([[line(0)], [line(1)]])
    over = loop(store, transport)
    over.tick()
    transport.messages = [ControlRecord(data, "here")]
    assert over.tick()
    assert over.metrics.bad_control._value.get() == 1


def test_a_stop_in_the_middle_of_a_rebalance_is_no_fault(store: Store) -> None:
    """Partitions that others have got are theirs to go on with; deliveries that the broker kept back are a fault."""
    for left, fails in ((PartitionsLost("moved", "wait"), False), (RetriableError("away", "look"), True)):
        transport = FakeTransport([[]])
        over = loop(store, transport)
        over.tick()
        over.interrupted, transport.calls = left, []
        with pytest.raises(BrokerError, match="did not confirm") if fails else nullcontext():
            _drain(over, transport, Health(), Notifier())
        assert transport.calls == ["close"]


def test_a_last_commit_that_a_rebalance_refuses_is_no_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost by it: the next owner goes on from the last checkpoint."""

    def refuse(offsets: Mapping[int, int], timeout_s: float) -> None:
        raise translate_error("committing the transaction", CommitFailedError())

    transport = FakeTransport([[line(0)]])
    over = loop(store, transport, checkpoint_s=60)
    over.tick()
    over.tick()
    monkeypatch.setattr(transport, "commit", refuse)
    _drain(over, transport, Health(), Notifier())
    assert transport.calls[-1] == "close"


def test_state_of_another_deployment_is_refused_by_name(store: Store) -> None:
    """Another group or input, or a topic made anew: a DataError that names both; the state stays as it is."""
    for theirs, words in (
        (Owner("other", "sensors"), "used by group other on topic sensors, and this is watchkeeper on sensors"),
        (Owner("watchkeeper", "meters"), "used by group watchkeeper on topic meters"),
        (Owner("watchkeeper", "sensors", "an-id"), "stands for an earlier topic sensors"),
    ):
        transport = FakeTransport([[]], {MARKER: encode(Marker(2, 0, 5, owner=theirs))})
        transport.owner = Owner("watchkeeper", "sensors", "another-id")
        with pytest.raises(DataError, match=words):
            loop(store, transport).tick()
        assert transport.sent == []


def test_state_without_an_owner_is_taken_up_and_gets_one(store: Store) -> None:
    """A checkpoint of before says nothing: the first commit writes whose it is, though nothing was read."""
    transport = FakeTransport([[]], {MARKER: encode(Marker(2, 0, 5))})
    loop(store, transport).tick()
    assert transport.resumed == [5]
    marker = next(m for m in transport.sent if m.stream is Stream.STATE and m.key == MARKER)
    assert decode_marker(marker.value or b"").owner == transport.owner


def test_a_feed_of_which_nothing_is_scored_is_told_once_and_is_not_ready(store: Store) -> None:
    """A row in two hours where seconds are wanted: a warning, and a reason on /readyz until it is over."""
    transport = FakeTransport([*([line(9000 * n)] for n in range(9)), [line(72_000 + n) for n in range(1, 9)]])
    over = loop(store, transport)
    with capture_logs() as logs:
        for _ in range(10):
            over.tick()
        told = [entry for entry in logs if entry["event"] == "nearly nothing is scored"]
        assert [(entry["log_level"], bool(entry["remedy"])) for entry in told] == [("warning", True)]
        assert any("rows are gap" in reason for reason in over.health.reasons)
        over.tick()
    assert not over.health.reasons
    assert logs[-1]["event"] == "records are scored again"
