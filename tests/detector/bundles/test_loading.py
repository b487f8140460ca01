"""A bundle is used only when every byte is the trainer's and the graph still computes what the trainer saw."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from detector.bundles.loading import load_bundle, load_manifest
from detector.bundles.store import GOLDEN, MANIFEST, MODEL, Store
from detector.errors import BundleError
from tests.support.tiny_bundle import CENTRE, WINDOW, expected, golden_file, graph, tiny


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store on a disk."""
    return Store(str(tmp_path / "models"))


def _file(store: Store, name: str, version: str = "v1") -> Path:
    return Path(store.url) / "pumps" / version / name


def _refused(store: Store, says: str, version: str = "v1", sha256: str | None = None) -> str:
    """The refusal, which must be one line with a remedy."""
    with pytest.raises(BundleError, match=says) as caught:
        load_bundle(store, "pumps", version, sha256)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    assert caught.value.remedy
    return text


def test_a_sound_bundle_computes_what_the_trainer_saw(store: Store) -> None:
    """Score, signed sensor errors, reconstruction and latent code have their shapes; missing cells are filled."""
    tiny().publish(store)
    scorer = load_bundle(store, "pumps", "v1")
    windows = np.array([[[8, 40], [9, 45], [14, 60]], [[10, 50], [10, 50], [np.nan, 45]]], np.float32)
    score, error = expected(windows)
    np.testing.assert_allclose(scorer.score(windows), score, rtol=1e-6)
    np.testing.assert_allclose(scorer.sensor_error(windows), error, rtol=1e-6)
    assert error[0].tolist() == [2.0, 2.0]
    assert error[1].tolist() == [0.0, -1.0]
    rebuilt, latent = scorer.reconstruct(windows)
    assert (rebuilt.shape, latent.shape) == ((2, WINDOW, 2), (2, 1))
    explanation = scorer.explain(windows)
    np.testing.assert_allclose(explanation.expected, np.tile(CENTRE, (2, 1)))
    np.testing.assert_allclose(explanation.sensor_error, error, rtol=1e-6)


def test_the_announced_manifest_is_the_one_that_is_loaded(store: Store) -> None:
    """The hash in the announcement ties the message to the bytes in the store."""
    tiny().publish(store)
    _, digest = load_manifest(store, "pumps", "v1")
    assert load_bundle(store, "pumps", "v1", digest).manifest.model_version == "v1"
    _refused(store, "not the one that was announced", sha256="0" * 64)


@pytest.mark.parametrize("name", [MODEL, GOLDEN])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda _data: b"",
        lambda data: data + b"\0",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-20] + bytes([data[-20] ^ 64]) + data[-19:],
    ],
    ids=["one byte short", "half", "empty", "one byte more", "first bit", "late bit"],
)
def test_a_damaged_file_is_refused_by_its_hash(store: Store, name: str, damage: Callable[[bytes], bytes]) -> None:
    """One changed bit anywhere is enough, also where onnxruntime would load the graph without a word."""
    tiny().publish(store)
    path = _file(store, name)
    path.write_bytes(damage(path.read_bytes()))
    assert name in _refused(store, "another SHA-256")


@pytest.mark.parametrize("name", [MODEL, GOLDEN, MANIFEST])
def test_a_file_that_is_not_there_is_named(store: Store, name: str) -> None:
    """A bundle with a part missing is not loaded from the rest."""
    tiny().publish(store)
    _file(store, name).unlink()
    assert name in _refused(store, "is not in the store")


def test_a_link_is_read_as_bytes_and_judged_by_its_hash(store: Store, tmp_path: Path) -> None:
    """A symbolic link in a bundle gains nothing: what it leads to must have the manifest's hash."""
    bundle = tiny().publish(store)
    elsewhere = tmp_path / "elsewhere.onnx"
    path = _file(store, MODEL)
    path.unlink()
    path.symlink_to(elsewhere)
    elsewhere.write_bytes(bundle.files[MODEL])
    assert load_bundle(store, "pumps", "v1").manifest.model == "pumps"
    elsewhere.write_bytes(b"something else")
    _refused(store, "another SHA-256")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "../../../../../../../../../../{}/weights.bin"])
def test_weights_outside_the_graph_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """A graph whose hash agrees but which names a file for its weights would compute with bytes nobody hashed."""
    model = graph()
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "spread")
    (tmp_path / "inner").mkdir()
    for folder in (tmp_path, tmp_path / "inner"):
        (folder / "weights.bin").write_bytes(weights.raw_data)
    onnx.external_data_helper.set_external_data(weights, location.format(str(tmp_path).lstrip("/")))
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    tiny(onnx_bytes=model.SerializeToString()).publish(store)
    monkeypatch.chdir(tmp_path / "inner")
    _refused(store, "does not load")


def test_external_weights_that_onnxruntime_would_take_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From bytes, onnxruntime looks for such a file in the working directory, and finds this one."""
    model = graph()
    big = numpy_helper.from_array(np.eye(2, dtype=np.float32), "mix")
    (tmp_path / "mix.bin").write_bytes(big.raw_data)
    onnx.external_data_helper.set_external_data(big, "mix.bin")
    big.ClearField("raw_data")
    big.data_location = TensorProto.EXTERNAL
    model.graph.initializer.append(big)
    for node in model.graph.node:
        if list(node.output) == ["sensor_error"]:
            node.output[0] = "unmixed"
    model.graph.node.insert(8, helper.make_node("MatMul", ["unmixed", "mix"], ["sensor_error"]))
    tiny(onnx_bytes=model.SerializeToString()).publish(store)
    monkeypatch.chdir(tmp_path)
    _refused(store, "does not load")


def test_a_manifest_in_the_wrong_folder_is_refused(store: Store) -> None:
    """A bundle copied over another version's folder does not pass for it."""
    for version in ("v1", "v2"):
        tiny(version).publish(store)
    for name in (MANIFEST, MODEL, GOLDEN):
        _file(store, name, "v1").write_bytes(_file(store, name, "v2").read_bytes())
    _refused(store, "stands in the folder of pumps v1")


def test_another_versions_graph_is_refused(store: Store) -> None:
    """Each manifest vouches for its own graph only."""
    tiny("v1").publish(store)
    tiny("v2", onnx_bytes=_shifted(1.0), golden=golden_file()).publish(store)
    _file(store, MODEL, "v1").write_bytes(_file(store, MODEL, "v2").read_bytes())
    _refused(store, "another SHA-256")


def _shifted(by: float) -> bytes:
    model = graph()
    for tensor in model.graph.initializer:
        if tensor.name == "centre":
            tensor.CopyFrom(numpy_helper.from_array(CENTRE + np.float32(by), "centre"))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("by", [1.0, -0.01])
def test_a_graph_that_computes_something_else_fails_the_golden_check(store: Store, by: float) -> None:
    """All hashes agree, but the numbers are not those of training: an operator or processor that differs."""
    tiny(onnx_bytes=_shifted(by)).publish(store)
    _refused(store, "golden check failed")


def test_a_difference_within_the_tolerance_passes(store: Store) -> None:
    """Other processors round differently in the last digits; that is no refusal."""
    tiny(onnx_bytes=_shifted(1e-6)).publish(store)
    assert load_bundle(store, "pumps", "v1").manifest.model_version == "v1"


def _edited_golden(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(golden_file())
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("golden", "says"),
    [
        (b"not json", "cannot be read"),
        (b"{}", "cannot be read"),
        (_edited_golden(lambda d: d.update(version=2)), "cannot be read"),
        (_edited_golden(lambda d: d.update(windows=[])), "another shape"),
        (_edited_golden(lambda d: d["windows"][0].pop()), "cannot be read"),
        (_edited_golden(lambda d: [w.pop() for w in d["windows"]]), "another shape"),
        (_edited_golden(lambda d: [r.pop() for w in d["windows"] for r in w]), "another shape"),
        (_edited_golden(lambda d: d["sensor_error"][0].pop()), "cannot be read"),
        (_edited_golden(lambda d: d["score"].pop()), "golden check failed"),
        (_edited_golden(lambda d: d["sensor_error"].pop()), "golden check failed"),
    ],
)
def test_a_golden_file_that_does_not_fit_is_refused(store: Store, golden: bytes, says: str) -> None:
    """Hashes agree, the content does not: unreadable, ragged, too few or of another shape."""
    tiny(golden=golden).publish(store)
    _refused(store, says)


def test_bytes_that_are_no_graph_are_refused(store: Store) -> None:
    """Text under the name model.onnx."""
    tiny(onnx_bytes=b"<html>502 Bad Gateway</html>").publish(store)
    _refused(store, "does not load")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (graph(window=WINDOW + 1), "the graph takes"),
        (graph(element=TensorProto.DOUBLE), "does not load"),
    ],
    ids=["another window", "another type"],
)
def test_a_graph_for_another_input_is_refused(store: Store, model: onnx.ModelProto, says: str) -> None:
    """Window length, number of sensors and element type are the manifest's."""
    tiny(onnx_bytes=model.SerializeToString()).publish(store)
    _refused(store, says)


def test_a_graph_with_a_second_input_is_refused(store: Store) -> None:
    """The detector would have nothing to feed it."""
    model = graph()
    model.graph.input.append(helper.make_tensor_value_info("temperature", TensorProto.FLOAT, [1]))
    tiny(onnx_bytes=model.SerializeToString()).publish(store)
    _refused(store, "the graph takes")


@pytest.mark.parametrize("output", ["score", "sensor_error", "reconstruction", "latent"])
def test_a_graph_without_an_output_is_refused_by_its_name(store: Store, output: str) -> None:
    """All four are needed; the missing one is named when the bundle is loaded, not at the first alarm."""
    model = graph()
    kept = [given for given in model.graph.output if given.name != output]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    tiny(onnx_bytes=model.SerializeToString()).publish(store)
    _refused(store, f"gives no {output}")


def test_a_graph_that_fails_when_it_runs_is_refused(store: Store) -> None:
    """It loads, has the right input and outputs, and breaks on real values: found before it is in use."""
    model = graph()
    for tensor in model.graph.initializer:
        if tensor.name == "one":
            tensor.CopyFrom(numpy_helper.from_array(np.array([0]), "one"))
    tiny(onnx_bytes=model.SerializeToString()).publish(store)
    _refused(store, "does not load|fails on its golden inputs")


def _parts(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["scoring"].update(method="sum", components=[{"name": name, "width": 1, "scale": 1.0}])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("sensors"), "sensors"),
        (lambda d: d.update(sensors=[]), "sensors"),
        (lambda d: d["sensors"].append(d["sensors"][0]), "not unique"),
        (lambda d: d.update(window=0), "window"),
        (lambda d: d.update(version=2), "upgrade watchkeeper"),
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["files"].pop(GOLDEN), "files must list"),
        # What a newer trainer may have written: another part of a sum, another rule for the threshold.
        (
            _parts("latent_whatever"),
            r"at scoring.components.0.name \(Input should be 'values'.*upgrade watchkeeper if a newer",
        ),
        (lambda d: d["calibration"].update(method="oracle"), "calibration.method .*upgrade watchkeeper if a newer"),
        (lambda d: d["calibration"].update(threshold=-1), "threshold"),
        # The following load and then stop the daemon, or make it blind: counts of 65 bits, squares beyond a double.
        (lambda d: d["sensors"][0].update(stuck_rows=2**64), "stuck_rows"),
        (lambda d: d.update(stride=2**64), "stride"),
        (lambda d: d.update(drift={"block_rows": 2**64, "signals": []}), "block_rows"),
        (lambda d: d["scoring"].update(method="mahalanobis", center=[0, -1e308], precision=[[1, 0], [0, 1]]), "center"),
        (lambda d: d["scoring"].update(method="mahalanobis", center=[0, 0], precision=[[1, 0], [0, 0]]), "diagonal"),
        (lambda d: d["calibration"].update(threshold=5e-324), "threshold"),
        (lambda d: d.update(period_s=5e-324), "period_s"),
        (lambda d: d.update({"a\nb": 1}), "a.b"),
        (lambda d: d["files"].update({"../../secret": d["files"][MODEL]}), "not a name"),
    ],
)
def test_a_manifest_that_is_not_valid_is_refused_at_its_place(
    store: Store, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    """The line names the field; a path in the list of files leads nowhere."""
    tiny().publish(store)
    document = json.loads(_file(store, MANIFEST).read_bytes())
    change(document)
    _file(store, MANIFEST).write_text(json.dumps(document))
    _refused(store, says)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b"null", b"[]", b'{"version": 1'])
def test_a_manifest_that_is_no_json_object_is_refused(store: Store, data: bytes) -> None:
    """Whatever bytes stand there, the answer is one line."""
    tiny().publish(store)
    _file(store, MANIFEST).write_bytes(data)
    _refused(store, "the manifest of pumps v1 is not valid")


def test_sensors_of_another_number_than_the_graphs_are_refused(store: Store) -> None:
    """A manifest rewritten for other sensors does not fit the graph any more."""
    tiny().publish(store)
    document = json.loads(_file(store, MANIFEST).read_bytes())
    document["sensors"].append({"name": "pressure"})
    _file(store, MANIFEST).write_text(json.dumps(document))
    _refused(store, "the graph takes")
