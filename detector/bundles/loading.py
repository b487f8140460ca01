"""Reading a bundle: signature, hash, load from bytes, golden check, warm up. Nothing is trusted before these agree.

onnxruntime loads most tampered graphs without a word, and by path it follows links; so the bytes are read once,
hashed, and the session is made from those bytes. A graph may still name a file for its weights, which onnxruntime
would look for in the working directory: it is given a folder that cannot hold any.
"""

import hashlib

import numpy as np
import onnxruntime
from pydantic import ValidationError

from detector.bundles.store import DECODER, GOLDEN, MANIFEST, MODEL, Store
from detector.core.arrays import Doubles, Floats
from detector.core.scoring import Explanation
from detector.errors import BundleError
from schemas.manifest import Golden, Manifest

OUTPUTS = ("score", "sensor_error", "reconstruction", "latent")
PARTS = "parts"  # one more output, of bundles whose score is a sum
NO_FOLDER = "/dev/null"  # nothing can lie below it, whatever ".." a graph writes


class OnnxScorer:
    """A verified bundle behind the Scorer protocol. One thread, no spinning: small calls do not pay for a pool."""

    def __init__(self, manifest: Manifest, graph: bytes) -> None:
        self._manifest = manifest
        self._session = _session(manifest, graph)
        self._check_signature()

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self._manifest

    def score(self, windows: Floats) -> Floats:
        """The graph's score, (batch,); higher is more anomalous."""
        return np.asarray(self._session.run(["score"], {"window": windows})[0], np.float32)

    def sensor_error(self, windows: Floats) -> Floats:
        """Signed standardised residual of the last row, (batch, sensor)."""
        return np.asarray(self._session.run(["sensor_error"], {"window": windows})[0], np.float32)

    def parts(self, windows: Floats) -> Floats:
        """The vectors that a sum is of, side by side, (batch, column)."""
        return np.asarray(self._session.run([PARTS], {"window": windows})[0], np.float32)

    def reconstruct(self, windows: Floats) -> tuple[Floats, Floats]:
        """Reconstruction in engineering units (batch, window, sensor) and latent code (batch, latent)."""
        first, second = self._session.run(["reconstruction", "latent"], {"window": windows})
        return np.asarray(first, np.float32), np.asarray(second, np.float32)

    def explain(self, windows: Floats) -> Explanation:
        """Expected values and residuals at the last row."""
        errors, rebuilt = self._session.run(["sensor_error", "reconstruction"], {"window": windows})
        return Explanation(expected=np.asarray(rebuilt)[:, -1, :], sensor_error=np.asarray(errors))

    def _check_signature(self) -> None:
        manifest = self._manifest
        inputs = {given.name: (given.type, list(given.shape[1:])) for given in self._session.get_inputs()}
        wanted = {"window": ("tensor(float)", [manifest.window, len(manifest.sensors)])}
        if inputs != wanted:
            raise _refusal(manifest, f"the graph takes {inputs}, the manifest says {wanted}")
        wished = {*OUTPUTS, PARTS} if manifest.scoring.components else {*OUTPUTS}
        missing = wished - {given.name for given in self._session.get_outputs()}
        if missing:
            raise _refusal(manifest, f"the graph gives no {', '.join(sorted(missing))}")


class OnnxDecoder:
    """The way from a code back to a window, where a bundle has one: a file of its own, which the daemon never runs."""

    def __init__(self, manifest: Manifest, graph: bytes) -> None:
        self._session = _session(manifest, graph)
        try:
            rebuilt = self.decode(np.zeros((1, manifest.latent), np.float32))
        except Exception as error:  # as above
            raise _refusal(
                manifest, f"{DECODER} fails on a code of {manifest.latent} ({type(error).__name__})"
            ) from error
        if rebuilt.shape != (1, manifest.window, len(manifest.sensors)):
            raise _refusal(manifest, f"{DECODER} gives {rebuilt.shape}, not what the manifest says")

    def decode(self, codes: Floats) -> Floats:
        """Codes (batch, latent) to windows (batch, window, sensor) in engineering units."""
        return np.asarray(self._session.run(["window"], {"code": codes})[0], np.float32)


def _session(manifest: Manifest, graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    options.log_severity_level = 4  # its errors are raised as well; saying them twice on standard error is noise
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare RuntimeErrors and its own types for a bad graph
        raise _refusal(manifest, f"the graph does not load ({type(error).__name__})") from error


def load_manifest(store: Store, model: str, version: str, *, demand_signature: bool = False) -> tuple[Manifest, str]:
    """The manifest of a version and the SHA-256 of its bytes.

    demand_signature: refuses what no trusted key signed, before it is parsed; without it a manifest is for showing.
    """
    data = store.read(model, version, MANIFEST)
    if demand_signature:
        store.demand_signature(model, version, data)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        newer = "upgrade watchkeeper if a newer one wrote it, " if first["type"] == "literal_error" else ""
        raise BundleError(
            f"the manifest of {model} {version} is not valid at {place} ({first['msg'][:120]})",
            f"{newer}train and publish the model again, or roll back",
        ) from None
    if (manifest.model, manifest.model_version) != (model, version):
        raise _refusal(manifest, f"the manifest stands in the folder of {model} {version}")
    return manifest, hashlib.sha256(data).hexdigest()


def load_bundle(store: Store, model: str, version: str, manifest_sha256: str | None = None) -> OnnxScorer:
    """Reads, verifies and warms up a bundle; raises BundleError and changes nothing on any failure.

    manifest_sha256: what the announcement says the manifest's hash is; None where nobody announced it.
    """
    manifest, digest = load_manifest(store, model, version, demand_signature=True)
    if manifest_sha256 is not None and digest != manifest_sha256:
        raise _refusal(manifest, "the manifest is not the one that was announced")
    files = {name: _read(store, manifest, name) for name in manifest.files}
    scorer = OnnxScorer(manifest, files[MODEL])
    _check_golden(scorer, files[GOLDEN])
    return scorer


def load_decoder(store: Store, manifest: Manifest) -> OnnxDecoder | None:
    """The decoder of a bundle whose manifest was verified; None where it has none."""
    if DECODER not in manifest.files:
        return None
    return OnnxDecoder(manifest, _read(store, manifest, DECODER))


def _read(store: Store, manifest: Manifest, name: str) -> bytes:
    """A file of a bundle, once its hash agrees."""
    data = store.read(manifest.model, manifest.model_version, name)
    if hashlib.sha256(data).hexdigest() != manifest.files[name].sha256:
        raise _refusal(manifest, f"{name} has another SHA-256 than the manifest says")
    return data


def _check_golden(scorer: OnnxScorer, data: bytes) -> None:
    """Runs the golden inputs through every output; doubles as the warm-up."""
    manifest = scorer.manifest
    try:
        golden = Golden.model_validate_json(data)
        windows = np.array(golden.windows, np.float32)  # (case, window, sensor); None becomes NaN
        wanted = {"score": np.array(golden.score), "sensor_error": np.array(golden.sensor_error)}
    except ValueError:  # pydantic's own error is one; numpy raises it for ragged nests
        raise _refusal(manifest, "golden.json cannot be read") from None
    if windows.ndim != 3 or windows.shape[1:] != (manifest.window, len(manifest.sensors)):
        raise _refusal(manifest, "golden.json has windows of another shape")
    try:
        got = {"score": scorer.score(windows), "sensor_error": scorer.sensor_error(windows)}
        if manifest.scoring.components:
            wanted[PARTS], got[PARTS] = np.array(golden.parts), scorer.parts(windows)
        rebuilt, latent = scorer.reconstruct(windows)
    except Exception as error:  # onnxruntime raises bare RuntimeErrors and its own types when a graph fails
        raise _refusal(manifest, f"the graph fails on its golden inputs ({type(error).__name__})") from error
    if rebuilt.shape != windows.shape or latent.shape != (len(windows), manifest.latent):
        raise _refusal(manifest, f"the graph rebuilds {rebuilt.shape} and {latent.shape}, not what the manifest says")
    for name, want in wanted.items():
        if not _agrees(got[name], want, manifest.golden_tolerance):
            raise _refusal(manifest, f"the golden check failed: {name} is not what the trainer saw")


def _agrees(got: Floats, want: Doubles, tolerance: float) -> bool:
    """Relative to the largest value, so that a value near zero does not ask for more digits than float32 has."""
    scale = float(np.abs(want).max(initial=1e-3))
    return got.shape == want.shape and np.allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def _refusal(manifest: Manifest, problem: str) -> BundleError:
    return BundleError(
        f"bundle {manifest.model} {manifest.model_version} is refused: {problem}",
        "publish the model again from the trainer, or roll back with 'watchkeeper models rollback'",
    )
