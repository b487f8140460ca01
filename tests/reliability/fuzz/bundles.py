"""Bundles damaged after publication: each must be refused, and never by a traceback.

A bundle's files are covered by the manifest's hashes, and the manifest by its signature, and by the hash that its
announcement names. Nobody announces it at a start: there, without a key, an edited manifest is caught by its contract
or by the golden check, or not at all, and who rewrites everything consistently is not caught. The table shows that too.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import numpy_helper

from detector.bundles import signing
from detector.bundles.loading import load_bundle, load_manifest
from detector.bundles.store import GOLDEN, MANIFEST, MODEL, SIGNATURE, Store
from detector.errors import BundleError
from schemas.config import Trust
from schemas.manifest import FileEntry, Golden, Manifest
from tests.reliability.fuzz.target import assert_plain
from tests.reliability.fuzz.trees import json_mutated
from tests.support.tiny_bundle import tiny

HASHED = (MODEL, GOLDEN)
FILES = (*HASHED, MANIFEST)
ANNOUNCED, SIGNED, HASHES, NOTHING = "its announced hash", "its signature", "its hashes", "nothing but its contract"


@dataclass(slots=True)
class KindResult:
    """What came of a class of harm."""

    harm: str
    protected_by: str
    must_refuse: bool
    refused: int = 0
    accepted: int = 0


class BundleCase:
    """A store with two versions, of which the first is damaged and made whole again for every case."""

    def __init__(self, root: Path) -> None:
        self.keys = {name: _keys(root, name) for name in ("trainer", "stranger")}
        private, public = self.keys["trainer"]
        url = str(root / "models")
        self.store, self.trusting = Store(url), Store(url, Trust(public_keys=(public,), signing_key=private))
        self.folder = root / "models" / "pumps" / "v1"
        self.other = root / "models" / "pumps" / "v2"
        tiny("v1").publish(self.trusting)
        tiny("v2", onnx_bytes=_weights_times(1.0 + 1e-6), golden=_other_golden()).publish(self.trusting)
        self.sound = {name: (self.folder / name).read_bytes() for name in (*FILES, SIGNATURE)}
        self.foreign = {name: (self.other / name).read_bytes() for name in (*FILES, SIGNATURE)}
        self.announced = load_manifest(self.store, "pumps", "v1")[1]

    def restore(self) -> None:
        """The bundle as it was published."""
        for name, data in self.sound.items():
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif path.is_symlink():
                path.unlink()
            path.write_bytes(data)

    def refuses(self, protection: str) -> bool:
        """Whether the bundle as it lies there is refused; anything but a refusal in one line is raised."""
        store = self.trusting if protection == SIGNED else self.store
        try:
            load_bundle(store, "pumps", "v1", self.announced if protection == ANNOUNCED else None)
        except BundleError as error:
            assert_plain(str(error))
            return True
        return False


Harm = Callable[[BundleCase, Random, str], None]  # the name is that of the file to harm


def _flip(case: BundleCase, rng: Random, name: str) -> None:
    data = bytearray(case.sound[name])
    for place in rng.sample(range(len(data)), rng.randint(1, 4)):
        data[place] ^= 1 << rng.randrange(8)
    (case.folder / name).write_bytes(data)


def _cut(case: BundleCase, rng: Random, name: str) -> None:
    data = case.sound[name]
    (case.folder / name).write_bytes(data[: rng.randrange(len(data))])


def _extend(case: BundleCase, rng: Random, name: str) -> None:
    (case.folder / name).write_bytes(case.sound[name] + rng.randbytes(rng.randint(1, 64)))


def _remove(case: BundleCase, rng: Random, name: str) -> None:
    (case.folder / name).unlink()
    if rng.random() < 0.3:
        (case.folder / name).mkdir()


def _swap(case: BundleCase, _rng: Random, name: str) -> None:
    (case.folder / name).write_bytes(case.foreign[name])


def _swap_all(case: BundleCase, rng: Random, _name: str) -> None:
    for name in (*FILES, SIGNATURE):
        _swap(case, rng, name)


def _link(case: BundleCase, rng: Random, name: str) -> None:
    path = case.folder / name
    path.unlink()
    path.symlink_to(rng.choice([case.other / name, case.folder / "nowhere", case.folder, path, Path("/dev/null")]))


def _edit_json(case: BundleCase, rng: Random, name: str) -> None:
    sound, changed = case.sound[name], None
    while changed is None or json.loads(changed) == json.loads(sound):
        changed = json_mutated(sound, rng)
    (case.folder / name).write_bytes(changed)


def _edit_graph(case: BundleCase, rng: Random, _name: str) -> None:
    (case.folder / MODEL).write_bytes(_another_graph(case.sound[MODEL], rng))


def _rehash(case: BundleCase, rng: Random, _name: str) -> None:
    """Another graph under its right hash; the golden file is the trainer's."""
    _write(case, {**case.sound, MODEL: _another_graph(case.sound[MODEL], rng)})


def _rewrite(case: BundleCase, rng: Random, _name: str) -> None:
    """Everything anew and consistent: other weights, golden values that fit them, right hashes, a stranger's key."""
    factor = rng.uniform(1.5, 100.0)
    golden = Golden.model_validate_json(case.sound[GOLDEN])
    error = tuple(tuple(value / factor for value in row) for row in golden.sensor_error)
    score = tuple(value / factor**2 for value in golden.score)
    lie = golden.model_copy(update={"sensor_error": error, "score": score})
    _write(case, {**case.sound, MODEL: _weights_times(factor), GOLDEN: lie.model_dump_json().encode()})
    if rng.random() < 0.5:
        written = (case.folder / MANIFEST).read_bytes()
        (case.folder / SIGNATURE).write_bytes(signing.sign(case.keys["stranger"][0], written))


def _write(case: BundleCase, body: dict[str, bytes]) -> None:
    manifest = Manifest.model_validate_json(case.sound[MANIFEST])
    entries = {
        name: FileEntry(sha256=hashlib.sha256(body[name]).hexdigest(), size_bytes=len(body[name])) for name in HASHED
    }
    text = manifest.model_copy(update={"files": entries}).model_dump_json(indent=1) + "\n"
    for name, data in {**body, MANIFEST: text.encode()}.items():
        (case.folder / name).write_bytes(data)


def _keys(root: Path, name: str) -> tuple[Path, Path]:
    """A pair of key files: private, public."""
    pair = root / f"{name}.key", root / f"{name}.pub"
    for path, data in zip(pair, signing.make_keys(), strict=True):
        path.write_bytes(data)
        path.chmod(0o600)
    return pair


def _weights_times(factor: float) -> bytes:
    """The tiny graph with another spread: an anomaly looks smaller by this factor."""
    model = onnx.load_model_from_string(tiny().files[MODEL])
    for tensor in model.graph.initializer:
        if tensor.name == "spread":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), "spread"))
    return bytes(model.SerializeToString())


def _other_golden() -> bytes:
    """The tiny golden file with its cases in another order: as true, but not the same bytes."""
    golden = Golden.model_validate_json(tiny().files[GOLDEN])
    turned = {name: getattr(golden, name)[::-1] for name in ("windows", "score", "sensor_error")}
    return golden.model_copy(update=turned).model_dump_json().encode()


def _another_graph(data: bytes, rng: Random) -> bytes:
    """One weight, operator, edge or attribute changed; still a graph."""
    model = onnx.load_model_from_string(data)
    node = rng.choice(model.graph.node)
    kind = rng.randrange(4)
    if kind == 0:
        tensor = rng.choice([t for t in model.graph.initializer if t.name in ("centre", "spread")])
        array = numpy_helper.to_array(tensor) * np.float32(rng.choice([0.5, 1.01, -1.0, 1e30, np.nan]))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    elif kind == 1:
        node.op_type = rng.choice([op for op in ("Add", "Sub", "Mul", "Div", "Exp", "Relu") if op != node.op_type])
    elif kind == 2:
        node.input[rng.randrange(len(node.input))] = rng.choice(["window", "spread", "nothing", "none", "gone"])
        node.doc_string = "x"
    else:
        model.graph.node.remove(node)
    return bytes(model.SerializeToString())


# What is damaged, how, in which files, and whether it must be refused without an announcement too.
_HARMS: tuple[tuple[str, Harm, tuple[str, ...], bool], ...] = (
    ("bits flipped in a hashed file", _flip, HASHED, True),
    ("bits flipped in the manifest", _flip, (MANIFEST,), False),
    ("a hashed file cut short", _cut, HASHED, True),
    ("the manifest cut short", _cut, (MANIFEST,), False),
    ("bytes appended to a hashed file", _extend, HASHED, True),
    ("bytes appended to the manifest", _extend, (MANIFEST,), False),
    ("a file missing, or a folder in its place", _remove, FILES, True),
    ("a file of another version", _swap, FILES, True),
    ("all files of another version", _swap_all, FILES, True),
    ("a link in the place of a file", _link, FILES, True),
    ("golden values edited", _edit_json, (GOLDEN,), True),
    ("manifest fields edited", _edit_json, (MANIFEST,), False),
    ("the graph edited", _edit_graph, (MODEL,), True),
    ("the graph edited and hashed anew", _rehash, (MODEL,), False),
    ("everything rewritten consistently", _rewrite, FILES, False),
)
_SIGNATURE_HARMS: tuple[tuple[str, Harm], ...] = (
    ("bits flipped in the signature", _flip),
    ("the signature cut short", _cut),
    ("bytes appended to the signature", _extend),
    ("the signature missing", _remove),
    ("the signature of another version", _swap),
    ("a link in the place of the signature", _link),
)


def run(cases: int, seed: int, root: Path) -> list[KindResult]:
    """Spreads the cases over the classes; those without an announcement that nothing protects come on top."""
    case, rng = BundleCase(root), Random(seed)
    bound = [
        (KindResult(name, protection, protection != NOTHING), harm, files)
        for name, harm, files, alone in _HARMS
        for protection in (ANNOUNCED, SIGNED, HASHES if alone else NOTHING)
    ]
    bound += [(KindResult(name, SIGNED, must_refuse=True), harm, (SIGNATURE,)) for name, harm in _SIGNATURE_HARMS]
    counted = [item for item in bound if item[0].must_refuse]
    for number in range(cases):
        _one(case, rng, *counted[number % len(counted)])
    for item in bound:
        for _ in range(0 if item[0].must_refuse else max(cases // len(counted), 1)):
            _one(case, rng, *item)
    case.restore()
    assert not any(map(case.refuses, (ANNOUNCED, SIGNED, HASHES))), "what was damaged was no sound bundle"
    return [row for row, _, _ in bound]


def _one(case: BundleCase, rng: Random, row: KindResult, harm: Harm, files: tuple[str, ...]) -> None:
    case.restore()
    harm(case, rng, rng.choice(files))
    if case.refuses(row.protected_by):
        row.refused += 1
    else:
        row.accepted += 1


def table(rows: list[KindResult]) -> list[str]:
    """Markdown, as it stands in docs/evidence/fuzzing.md: refused of cases, by harm and by what protects the bundle."""
    kinds = (ANNOUNCED, SIGNED, HASHES, NOTHING)
    lines = [f"| harm | {' | '.join(kinds)} |", "|---|" + "--:|" * len(kinds)]
    for harm in dict.fromkeys(row.harm for row in rows):
        cells = {row.protected_by: row for row in rows if row.harm == harm}
        told = [f"{cells[k].refused} of {cells[k].refused + cells[k].accepted}" if k in cells else "" for k in kinds]
        lines.append(f"| {harm} | {' | '.join(told)} |")
    refused = sum(row.refused for row in rows if row.must_refuse)
    accepted = sum(row.accepted for row in rows if row.must_refuse)
    return [*lines, "", f"In the first three columns: {refused + accepted:,} cases, {accepted:,} accepted."]


def main() -> int:
    """Prints the table; exit code 1 when a bundle was accepted that must not be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.fuzz.bundles", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        rows = run(asked.cases, asked.seed, Path(root))
    print("\n".join(table(rows)))
    return 1 if any(row.accepted for row in rows if row.must_refuse) else 0


if __name__ == "__main__":
    sys.exit(main())
