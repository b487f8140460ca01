"""A bundle over HTTP: its figures are those of onnxruntime and backtest, and every fault is one line."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from detector.bundles.store import DECODER, Store
from detector.config import load_settings
from detector.errors import BundleError
from detector.serving.served_bundle import RequestRejected, load_served_bundle
from tests.support.invoke import invoke
from tests.support.serving import JSON, Server, configure, serving
from tests.support.tiny_bundle import CENTRE, SPREAD, WINDOW, expected, tiny
from trainer.commands.backtest import backtest

WINDOWS = np.array([[[9, 45], [10, 50], [12, 40]], [[10, 55], [np.nan, 50], [np.nan, 60]]], np.float32)
FINE = [[9, 45], [10, 50], [12, 40]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(configure(folder, max_windows=5, max_rows=60, max_body_bytes=20_000)) as running:
        yield running


def cells(windows: np.ndarray) -> list[Any]:
    """Windows as JSON has them: null where missing."""
    listed = windows.astype(object)
    listed[np.isnan(windows)] = None
    return listed.tolist()  # type: ignore[no-any-return]


def test_answers_are_the_graphs_own(server: Server) -> None:
    """Scores, codes and reconstructions are what the graph computes, for one window and for several."""
    score, error = expected(WINDOWS)
    status, headers, told = server.ask("/anomaly_score", {"windows": cells(WINDOWS)})
    assert (status, headers["content-type"], told["model_version"]) == (200, JSON, "v1")
    np.testing.assert_array_equal(np.float32(told["scores"]), score)
    np.testing.assert_array_equal(np.float32(told["sensor_errors"]), error)
    single = server.ask("/anomaly_score", {"window": cells(WINDOWS)[1]})[2]
    assert single["scores"] == told["scores"][1:]
    assert server.ask("/encode", {"windows": cells(WINDOWS)})[2]["codes"] == error[:, :1].tolist()
    rebuilt = server.ask("/reconstruct", {"window": cells(WINDOWS)[0]})[2]["reconstructions"]
    assert rebuilt == np.broadcast_to(CENTRE, (1, WINDOW, 2)).tolist()
    decoded = server.ask("/decode", {"codes": [[2.0], [-1.0]]})[2]["windows"]
    assert decoded == [[(CENTRE + code * SPREAD).tolist()] * WINDOW for code in (2.0, -1.0)]


def test_a_window_with_too_many_holes_has_no_score(server: Server) -> None:
    """Past the bundle's fill limit there is no score, as in the daemon; its neighbours have theirs."""
    holes = [[9, None], [None, None], [None, 40]]
    told = server.ask("/anomaly_score", {"windows": [holes, FINE]})[2]
    assert told["scores"][0] is told["sensor_errors"][0] is None
    assert told["scores"][1] == expected(np.array([FINE], np.float32))[0][0]


def test_rows_score_as_in_backtest(server: Server, folder: Path) -> None:
    """Rows with an excursion, a gap, a late row and holes get the scores, flags and threshold that backtest gives."""
    rng = np.random.default_rng(3)
    values = (CENTRE + rng.normal(size=(50, 2)) * SPREAD).astype(np.float32)
    values[20:25, 0] += 20
    values[30, 1] = values[31, 0] = np.nan
    times = 1.7e9 + np.arange(50.0)
    times[40:] += 500
    times[10] -= 5
    rows = [{"time": time, "values": row} for time, row in zip(times.tolist(), cells(values), strict=True)]
    told = server.ask("/anomaly_score/rows", {"rows": rows})[2]
    lines = [{"asset": "a", "timestamp": row["time"], "flow": row["values"][0], "temperature": row["values"][1]}
             for row in rows]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    ran = invoke(backtest, "--config", folder / "watch.yaml", "--data", folder / "rows.jsonl", "--out", folder / "out")
    assert ran.code == 0
    replayed = pq.read_table(folder / "out" / "scores.parquet").sort_by("offset").to_pydict()
    assert told["scores"] == replayed["score"]
    assert told["flags"] == replayed["flags"]
    assert told["scores"].count(None) == 5, "two after each beginning, and the late one"
    assert [told["threshold"]] * 50 == replayed["threshold"]
    assert told["anomalous"] == [score is not None and score > 4.0 for score in told["scores"]]


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/encode", b'{"window"', 400, "not JSON"),
        ("/encode", {"window": FINE[:2]}, 422, "window"),
        ("/encode", {"windows": [FINE, [[1], [2], [3]]]}, 422, "windows.1.0"),
        ("/encode", b'{"window": [[9, 45], [10, NaN], [12, 40]]}', 422, "window.1.1: Input should be a finite number"),
        ("/encode", {"window": [[9, "45"], [10, 50], [12, 40]]}, 422, "window.0.1"),
        ("/encode", {"window": [[9, 1e39], [10, 50], [12, 40]]}, 422, "window.0.1"),
        ("/encode", {"windows": [FINE] * 6}, 422, "at most 5"),
        ("/encode", {"window": FINE, "windows": [FINE]}, 422, "window"),
        ("/encode", b"[" * 10_000, 400, "not JSON"),
        ("/encode", b" " * 20_001, 413, "serve.max_body_bytes"),
        ("/decode", {"code": [1, 2]}, 422, "code"),
        ("/anomaly_score/rows", {"rows": []}, 422, "rows"),
        ("/anomaly_score/rows", {"rows": [{"time": -1, "values": [1, 2]}]}, 422, "rows.0.time"),
        ("/nothing", {}, 404, "/openapi.json"),
        ("/health", {}, 405, "/openapi.json"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(server: Server, path: str, body: Any, status: int, word: str) -> None:
    """A problem document with the place and the reason, never what was sent, never a traceback."""
    got, headers, problem = server.ask(path, body)
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    assert problem["status"] == status
    assert word in problem["detail"]
    assert "\n" not in problem["detail"]


def test_another_content_type_is_refused(server: Server) -> None:
    """What a web page can send to a local port without asking is not taken."""
    assert server.ask("/encode", {"window": FINE}, kind="text/plain")[0] == 415


def test_says_what_it_serves(server: Server) -> None:
    """Sensors in order, the window's size and the limits, so that a client needs no file."""
    facts = server.ask("/model")[2]
    assert [sensor["name"] for sensor in facts["sensors"]] == ["flow", "temperature"]
    assert (facts["window"], facts["decodes"], facts["limits"]["max_windows"]) == (WINDOW, True, 5)
    assert server.ask("/health")[2] == {"status": "ok", "model": "pumps", "model_version": "v1"}


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    """Generated requests that fit the document are answered, others refused, and answers are as it says."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json",
               "--max-examples", "10", "--seed", "7", "--no-color", "--generation-database", "none"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"Tested: +7\b", done.stdout), done.stdout[-4000:]
    assert "WARNINGS" not in done.stdout, done.stdout[-4000:]


def test_a_bundle_without_a_decoder_says_so(folder: Path) -> None:
    """Bundles of before: everything works but /decode, which is a conflict and says what to do."""
    served = load_served_bundle(load_settings(configure(folder), {}), "pumps", "old")
    assert not served.facts().decodes
    with pytest.raises(RequestRejected, match="train the model again") as refused:
        served.decode(served.requests.codes.model_validate({"code": [1.0]}))
    assert refused.value.status == 409


def test_a_tampered_decoder_is_refused(tmp_path: Path) -> None:
    """The decoder's hash stands in the manifest as well."""
    config = configure(tmp_path)
    path = tmp_path / "models" / "pumps" / "v1" / DECODER
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"decoder\.onnx has another SHA-256"):
        load_served_bundle(load_settings(config, {}), "pumps", None)


def test_limits_in_time_and_number_and_an_orderly_end(folder: Path) -> None:
    """One request too many is told to come back, a body that never ends is given up; SIGTERM lets the last one end."""
    body = json.dumps({"window": FINE}).encode()
    head = f"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(configure(folder, max_requests=1, body_timeout_s=5)) as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address, timeout=30) as slow:
            slow.sendall(head + body[:5])
            deadline = time.monotonic() + 20
            while (busy := server.ask("/encode", {"window": FINE}))[0] != 503:
                assert time.monotonic() < deadline
            assert busy[1]["retry-after"] == "1"
            assert b" 408 " in slow.recv(4096)
        with socket.create_connection(address, timeout=30) as last:
            last.sendall(head + body[:5])
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            last.sendall(body[5:])
            assert b" 200 OK" in last.recv(4096)
        assert server.process.wait(30) == 0


def test_what_keeps_it_from_serving_is_one_line(tmp_path: Path) -> None:
    """No current version, a port that is taken: exit codes and lines like every command's."""
    Store(str(tmp_path / "models"))
    tiny("v1").publish(Store(str(tmp_path / "models")))
    command = [sys.executable, "-m", "detector.cli", "serve", "--config"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, code, word in ((0, 4, "no version of pumps is in use"), (taken.getsockname()[1], 2, "cannot listen")):
            config = tmp_path / "watch.yaml"
            config.write_text(f"store: {tmp_path / 'models'}\nwatch: [{{model: pumps}}]\nserve: {{port: {port}}}\n")
            done = subprocess.run([*command, str(config)], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == code
            assert word in done.stderr.splitlines()[-1]
            assert "Traceback" not in done.stderr
