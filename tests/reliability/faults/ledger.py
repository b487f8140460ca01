"""The ledger: what a run left on its topics, against a run of the same feed without faults.

Promise: every (partition, offset) of the input stands among scores and dead letters, each says one thing however often
it came, the alerts are those of the fault-free run to the byte, and so is the state. Under exactly_once a reader of
committed messages sees nothing twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec
from pydantic import BaseModel

from detector.core.state.codec import MARKER, decode_bucket, decode_marker
from detector.transports.messages import read_dead_letter
from schemas.feed import DeadLetterLine
from tests.support.kafka_client import Cluster, Read

Place = tuple[int, int]  # partition, offset
Entry = tuple[str, float | None, int] | str  # asset, score, flags; or a dead letter's reason
ROLES = ("scores", "dead_letters", "alerts", "state")


class _Scores(msgspec.Struct):
    """schemas.feed.Scores as far as the ledger looks; pydantic would take longer than the daemon."""

    asset: str
    partition: int
    offsets: list[int]
    scores: list[float | None]
    flags: list[int]


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_scores = msgspec.json.Decoder(_Scores).decode


class _Event(msgspec.Struct):
    id: str


_event = msgspec.json.Decoder(_Event).decode


@dataclass(slots=True)
class RunOutputs:
    """What a run left behind, without duplicates; those are counted."""

    entries: dict[Place, Entry] = field(default_factory=dict)
    alerts: dict[str, bytes] = field(default_factory=dict)  # id -> the whole message
    state: dict[tuple[int, str], bytes] = field(default_factory=dict)  # partition, asset -> its memory
    positions: dict[int, int] = field(default_factory=dict)  # partition -> offset its checkpoint stands for
    duplicates: int = 0
    contradictions: list[str] = field(default_factory=list)  # came twice and did not say the same
    moments_s: list[float] = field(default_factory=list)  # when scores reached the broker, in order


def read_outputs(cluster: Cluster, run: str) -> RunOutputs:
    """Everything that the run's daemons wrote, as a reader of committed messages sees it."""
    reads: dict[str, list[Read]] = {role: [] for role in ROLES}
    topics = [f"{run}.{role}" for role in ROLES]
    cluster.await_transactions(*topics)
    for read in cluster.read_all(*topics, isolation="read_committed"):
        reads[read.topic.rpartition(".")[2]].append(read)
    outputs = RunOutputs()
    _enter_scores(outputs, reads["scores"])
    for read in reads["dead_letters"]:
        letter = read_dead_letter(read.headers)
        _enter(outputs, outputs.entries, (letter.partition, letter.offset), letter.reason.value)
    for read in reads["alerts"]:
        _enter(outputs, outputs.alerts, _event(read.value or b"").id, read.value or b"")
    _enter_state(outputs, reads["state"])
    return outputs


def read_folder(folder: Path) -> RunOutputs:
    """The same of a daemon over files, whose outputs lie in `folder` under the names of their roles."""
    outputs = RunOutputs()
    lines = {role: _lines(folder / f"{role}.jsonl") for role in ("scores", "dead_letters", "alerts")}
    _enter_scores(outputs, (Read("scores", 0, 0, 0, None, line, ()) for line in lines["scores"]))
    for line in lines["dead_letters"]:
        letter = DeadLetterLine.model_validate_json(line).dead_letter
        _enter(outputs, outputs.entries, (letter.partition, letter.offset), letter.reason.value)
    for line in lines["alerts"]:
        _enter(outputs, outputs.alerts, _event(line).id, line)
    entries = msgspec.msgpack.decode((folder / "state.msgpack").read_bytes())["entries"]
    _enter_state(outputs, (Read("state", 0, 0, 0, key.encode(), value, ()) for key, value in entries.items()))
    return outputs


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _enter(outputs: RunOutputs, into: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if key not in into:
        into[key] = value
        return
    outputs.duplicates += 1
    if into[key] != value:
        outputs.contradictions.append(f"{key} said {into[key]!r} and then {value!r}")


def _enter_scores(outputs: RunOutputs, reads: Iterable[Read]) -> None:
    for read in reads:
        part = _scores(read.value or b"")
        outputs.moments_s.append(read.timestamp / 1e3)
        for offset, score, flags in zip(part.offsets, part.scores, part.flags, strict=True):
            _enter(outputs, outputs.entries, (part.partition, offset), (part.asset, score, flags))
    outputs.moments_s.sort()


def _enter_state(outputs: RunOutputs, reads: Iterable[Read]) -> None:
    newest: dict[tuple[int, bytes], bytes | None] = {(r.partition, r.key or b""): r.value for r in reads}
    for (partition, key), value in newest.items():
        if value is None:
            continue
        if key == MARKER:
            outputs.positions[partition] = decode_marker(value).next_offset
            continue
        for asset in decode_bucket(value).assets:
            outputs.state[partition, asset.asset] = msgspec.msgpack.encode(asset, enc_hook=BaseModel.model_dump)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome of a run. lost: records and alerts that should be there; doubled: what no reader can put right."""

    records: int
    lost: int
    doubled: int
    duplicates: int  # before de-duplication
    gap_s: float  # longest time without a new score
    restart_s: float  # worst time from a start to the first score after it
    problems: tuple[str, ...]
    kills: int = 0  # SIGKILLs to daemons
    deaths: int = 0  # daemons that ended by themselves and were started again

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing doubled, nothing else than in the fault-free run."""
        return not self.problems


def reconcile(
    outputs: RunOutputs,
    baseline: RunOutputs,
    ends: Mapping[int, int],
    starts_s: Sequence[float],
    exactly_once: bool,
    gone: Collection[Place] = (),
    due: Collection[Place] | None = None,
) -> Reconciliation:
    """Compares a run's outputs with the fault-free ones.

    ends: partition -> number of its records. starts_s: when daemons were started. gone: places that retention took
    before anybody could read them; they must be missing. due: the places that must be there; None: all of `ends`.
    """
    every = {(partition, offset) for partition, end in ends.items() for offset in range(end)}
    due = (every if due is None else set(due)) - set(gone)
    missing, odd = due - outputs.entries.keys(), outputs.entries.keys() - due
    silent, invented = baseline.alerts.keys() - outputs.alerts.keys(), outputs.alerts.keys() - baseline.alerts.keys()
    other = [place for place, entry in outputs.entries.items() if baseline.entries.get(place, entry) != entry]
    reworded = [key for key, value in outputs.alerts.items() if baseline.alerts.get(key, value) != value]
    forgot = [key for key, value in baseline.state.items() if outputs.state.get(key) != value]
    behind = {p: outputs.positions.get(p) for p, end in ends.items() if outputs.positions.get(p) != end}
    problems = [
        *_problems("records are lost", missing),
        *_problems("records nobody sent", odd),
        *_problems("records were judged otherwise", other),
        *_problems("alerts are lost", silent),
        *_problems("alerts that the fault-free run did not raise", invented),
        *_problems("alerts differ", reworded),
        *_problems("assets' states differ", forgot),
        *_problems("assets nobody knows", outputs.state.keys() - baseline.state.keys()),
        *_problems("partitions end elsewhere", behind.items()),
        *_problems("said two things", outputs.contradictions),
    ]
    if exactly_once and outputs.duplicates:
        problems.append(f"{outputs.duplicates} duplicates under exactly_once")
    return Reconciliation(
        records=len(due),
        lost=len(missing) + len(silent),
        doubled=len(odd) + len(invented) + len(outputs.contradictions),
        duplicates=outputs.duplicates,
        gap_s=_longest_gap(outputs.moments_s),
        restart_s=_worst_restart(starts_s, outputs.moments_s),
        problems=tuple(problems),
    )


def _problems(what: str, things: Collection[object]) -> list[str]:
    if not things:
        return []
    some = ", ".join(str(thing)[:200] for thing in sorted(things, key=str)[:3])
    return [f"{len(things)} {what}: {some}"]


def _longest_gap(moments_s: Sequence[float]) -> float:
    return max((later - earlier for earlier, later in pairwise(moments_s)), default=0.0)


def _worst_restart(starts_s: Sequence[float], moments_s: Sequence[float]) -> float:
    firsts = [(start, next((m for m in moments_s if m > start), None)) for start in starts_s]
    return max((first - start for start, first in firsts if first is not None), default=0.0)
