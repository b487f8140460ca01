"""An explanation as a page and as data: explain.html, explain.json, windows.csv, incident.csv."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from detector.core.rounding import six_digits
from trainer.explain import Explained, pictures
from trainer.explain.latent import Clustering
from trainer.reports.figures import style
from trainer.reports.page import render

Row = list[Any]


def figures(found: Explained) -> dict[str, Any]:
    """What explain.json holds."""
    manifest, episode = found.view.scorer.manifest, found.episode
    return {
        "model": manifest.model,
        "version": manifest.model_version,
        "rows": found.view.history.rows,
        "windows": len(found.view.replay),
        "looked_at": len(found.view.chosen),
        "above_threshold": int((np.nan_to_num(found.view.scores) > manifest.calibration.threshold).sum()),
        "alarms": len({alert.data.incident for alert in found.view.alerts}),
        "variance": {
            "code": None if found.code is None else _short(found.code.shares),
            "data": _short(found.data.shares),
        },
        "correlation": [_short(row) for row in found.correlation.tolist()],
        "clusters": [
            {"space": c.space, "centres": c.centres, "silhouette": round(c.silhouette, 4), "sizes": list(c.sizes)}
            for c in found.clusterings
        ],
        "sensitivity": [
            {
                "sensor": one.sensor,
                **dict(
                    zip(
                        ("score_ratio", "code_shift", "score_ratio_1sd_up", "score_ratio_1sd_down"),
                        _short((one.score_ratio, one.code_shift, one.up, one.down)),
                        strict=True,
                    )
                ),
            }
            for one in found.influences
        ],
        "incident": {
            "id": episode.incident,
            "asset": episode.asset,
            "begin": _moment(episode.begin_s),
            "end": _moment(episode.end_s),
            "peak_score": episode.peak,
            "threshold": manifest.calibration.threshold,
            "contributions": {one.sensor: round(one.contribution, 4) for one in episode.shares},
        },
    }


def write(found: Explained, out: Path) -> None:
    """All files, into a folder that is there."""
    (out / "explain.json").write_text(json.dumps(figures(found), indent=1) + "\n", encoding="utf-8")
    _table(out / "windows.csv", _windows(found))
    _table(out / "incident.csv", _incident(found))
    (out / "explain.html").write_bytes(page(found))


def page(found: Explained) -> bytes:
    """The page, UTF-8 HTML."""
    manifest, view = found.view.scorer.manifest, found.view
    best = _best(found)
    with style():
        values = {
            "manifest": manifest,
            "figures": figures(found),
            "source": view.history.source,
            "score": pictures.score_course(found.episode, manifest.calibration.threshold),
            "contributions": pictures.contributions(found.episode) if found.episode.shares else None,
            "sensors": list(pictures.sensors(found.episode, view.history.sensors)),
            "hidden": max(len(view.history.sensors) - pictures.SENSORS_SHOWN, 0),
            "influence": pictures.influence(found.influences),
            "code": None if found.code is None else pictures.scatter(found.code, view.above, "code"),
            "data": pictures.scatter(found.data, view.above, "data"),
            "correlation": None if found.code is None else pictures.correlation(found.correlation),
            "silhouettes": pictures.silhouettes(found.clusterings) if found.clusterings else None,
            "clusters": None if best is None or found.code is None else pictures.clusters(found.code, best),
        }
    return render("explain.html", values)


def _best(found: Explained) -> Clustering | None:
    return max((c for c in found.clusterings if c.space == "code"), key=lambda c: c.silhouette, default=None)


def _windows(found: Explained) -> Iterator[Row]:
    """One row a window looked at: whose, when, its score, its place in both planes, its cluster, its code."""
    view, best = found.view, _best(found)
    latent = view.codes.shape[1]
    yield [
        "asset",
        "time",
        "score",
        "code_x",
        "code_y",
        "data_x",
        "data_y",
        "cluster",
        *(f"code_{n + 1}" for n in range(latent)),
    ]
    for place, number in enumerate(view.chosen.tolist()):
        code_plane = ["", ""] if found.code is None else _short(found.code.points[place])
        yield [
            view.history.assets[int(view.replay.slots[number])].name,
            _moment(float(view.replay.times[number])),
            *_short([view.scores[view.replay.rows[number]]]),
            *code_plane,
            *_short(found.data.points[place]),
            "" if best is None else int(best.members[place]),
            *_short(view.codes[place]),
        ]


def _incident(found: Explained) -> Iterator[Row]:
    """One row a row of the incident and its surroundings: score, and each sensor as measured and reconstructed."""
    episode, names = found.episode, found.view.history.sensors
    yield ["time", "score", *(f"{name}{what}" for name in names for what in ("", " rebuilt"))]
    for row, moment in enumerate(episode.times.tolist()):
        pairs = np.stack([episode.observed[row], episode.reconstruction[row]], axis=1).ravel()
        yield [_moment(moment), *_short([episode.scores[row]]), *_short(pairs)]


def _table(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _short(values: Any) -> list[float | None]:
    """Six significant digits; None where a value is not finite."""
    return [six_digits(value) if np.isfinite(value) else None for value in values]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
