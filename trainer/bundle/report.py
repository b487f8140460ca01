"""The report beside a bundle: one HTML page on how the model came about and how well it does.

Self-contained: pictures are inline, nothing is fetched, no script runs.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from schemas.manifest import Manifest
from trainer.bundle.result import Example, Fitted
from trainer.calibration.normal_scores import describe_alarms
from trainer.fitting.fit import Curve
from trainer.reports.figures import BLACK, BLUE, GREY, ORANGE, RED, SKY, as_uri, draw, style
from trainer.reports.page import Picture, render

SENSORS_SHOWN = 24  # small pictures in the example; nobody reads a page with hundreds
LINE_ROWS = 3  # a shorter window does not make a line: a table shows more
BINS = 80


def write_report(fitted: Fitted) -> bytes:
    """The page, UTF-8 HTML."""
    example = _clearest_example(fitted)
    with style():
        values = {
            "manifest": fitted.manifest,
            "facts": list(_facts(fitted.manifest)),
            "metrics": [(name.replace("_", " "), _figure(value)) for name, value in fitted.manifest.metrics.items()],
            "notes": fitted.notes,
            "curves": _learning_curves(fitted.curves) if fitted.curves else None,
            "histogram": _score_histogram(fitted),
            "errors": _sensor_errors(fitted) if len(fitted.sensor_errors) else None,
            "example": example,
            "windows": list(_windows(fitted.manifest, example)) if example and len(example.times) >= LINE_ROWS else [],
            "rows": list(_last_row(fitted.manifest, example)) if example else [],
            "hidden": max(len(fitted.manifest.sensors) - SENSORS_SHOWN, 0),
        }
    return render("report.html", values)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The manifest's main facts, each in words."""
    calibration, training = manifest.calibration, manifest.training
    parameters = ", ".join(f"{name} {value:g}" for name, value in calibration.parameters.items())
    yield "Model", f"{manifest.model} {manifest.model_version}"
    yield "Made", f"{_time(manifest.created)}, follows {manifest.parent_version or 'no earlier version'}"
    yield "Network", f"{manifest.family} autoencoder, latent code of {manifest.latent}"
    rows = "1 row" if manifest.window == 1 else f"{manifest.window} rows"
    yield "Window", f"{rows} of {manifest.period_s:g} s, {_nth(manifest.stride)} scored"
    yield "Score", f"{manifest.scoring.method}; higher is more anomalous"
    yield "Threshold", f"{calibration.threshold:.4g} ({calibration.method.replace('_', ' ')}: {parameters or 'as is'})"
    yield "Closes below", f"{calibration.lower_threshold:.4g}"
    yield "Delays", f"opens after {manifest.timing.on_delay_s:g} s, closes after {manifest.timing.off_delay_s:g} s"
    yield "Calibrated on", f"{calibration.windows:,} held-out normal windows; {describe_alarms(manifest.metrics)}"
    yield "Trained on", f"{training.rows:,} rows of {len(training.assets)} assets, {training.source}"
    yield "History", f"{_time(training.start)} to {_time(training.end)}"
    yield "Fingerprint", training.fingerprint[:16]
    yield "Libraries", ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _nth(stride: int) -> str:
    return "every row" if stride == 1 else f"one row in {stride}"


def _clearest_example(fitted: Fitted) -> Example | None:
    """The example in which the sensors move most, in their own sizes: a flat line shows nothing."""
    if not fitted.examples:
        return None
    spread = np.array([np.nan_to_num(np.nanstd(_known(example), axis=0)) for example in fitted.examples])
    largest = spread.max(axis=0)
    return fitted.examples[int((spread / np.where(largest > 0, largest, 1.0)).sum(axis=1).argmax())]


def _known(example: Example) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Observed values with sensors that are missing throughout set to 0, which numpy would warn of."""
    empty = np.isnan(example.observed).all(axis=0)
    return np.asarray(np.where(empty, np.float32(0), example.observed))


def _learning_curves(curves: tuple[Curve, ...]) -> Picture:
    figure, (axes,) = draw(5.2, 3.3)
    for curve in curves[:0:-1]:
        axes.plot(range(1, len(curve.validation) + 1), curve.validation, color=SKY, linewidth=0.9, alpha=0.8)
    if len(curves) > 1:
        axes.plot([], [], color=SKY, linewidth=0.9, label=f"validation, folds ({len(curves) - 1})")
    model = curves[0]
    epochs = range(1, len(model.train) + 1)
    axes.plot(epochs, model.train, color=GREY, linestyle="--", label="training")
    axes.plot(range(1, len(model.validation) + 1), model.validation, color=BLUE, label="validation")
    if model.best_epoch < len(model.validation):
        best = model.validation[model.best_epoch]
        axes.plot([model.best_epoch + 1], [best], "o", color=RED, markersize=6, label="kept")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (scaled units)")
    axes.legend()
    return Picture(
        as_uri(figure), f"Learning curves over {len(model.train)} epochs; epoch {model.best_epoch + 1} was kept"
    )


def _score_histogram(fitted: Fitted) -> Picture:
    figure, (axes,) = draw(5.2, 3.3)
    scores = fitted.scores[np.isfinite(fitted.scores)]
    top = max(float(np.quantile(scores, 0.9995)) if len(scores) else 0.0, fitted.threshold * 1.15)
    beyond = int((scores > top).sum())
    axes.hist(np.minimum(scores, top), bins=BINS, range=(0.0, top), color=SKY)
    axes.axvline(fitted.threshold, color=RED, label=f"threshold {fitted.threshold:.3g}")
    lower = fitted.manifest.calibration.lower_threshold
    axes.axvline(lower, color=ORANGE, linestyle="--", label=f"closes below {lower:.3g}")
    axes.set_xlabel("score" + (f" ({beyond} beyond stand at the right edge)" if beyond else ""))
    axes.set_ylabel("held-out windows")
    axes.legend()
    share = float((scores > fitted.threshold).mean()) if len(scores) else 0.0
    return Picture(as_uri(figure), f"Held-out scores; {share:.2%} lie above the threshold")


def _sensor_errors(fitted: Fitted) -> Picture:
    names = [sensor.name for sensor in fitted.manifest.sensors]
    errors = np.nan_to_num(fitted.sensor_errors.astype(np.float64))
    widest = np.argsort(np.quantile(np.abs(errors), 0.99, axis=0))[-SENSORS_SHOWN:]
    figure, (axes,) = draw(5.2, max(1.2 + 0.26 * len(widest), 2.2))
    low, left, middle, right, high = np.quantile(errors[:, widest], (0.005, 0.25, 0.5, 0.75, 0.995), axis=0)
    position = np.arange(len(widest))
    axes.hlines(position, low, high, color=BLUE, linewidth=1.5, label="99 % of windows")
    axes.hlines(position, left, right, color=BLUE, linewidth=7, label="50 %")
    axes.plot(middle, position, "|", color=BLACK, markersize=9, label="median")
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(position, [names[column] for column in widest])
    axes.set_ylim(-0.7, len(widest) - 0.3)
    axes.set_xlabel("observed - expected (held-out sd)")
    figure.legend(loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    return Picture(as_uri(figure), "Errors of each sensor on held-out normal windows, widest at the top")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def _last_row(manifest: Manifest, example: Example) -> Iterator[tuple[str, str, str, str]]:
    """Sensor, unit, measured and rebuilt value at the window's last row."""
    for column, sensor in list(enumerate(manifest.sensors))[:SENSORS_SHOWN]:
        observed, rebuilt = example.observed[-1, column], example.reconstruction[-1, column]
        measured = "missing" if np.isnan(observed) else f"{observed:.5g}"
        yield sensor.name, sensor.unit, measured, f"{rebuilt:.5g}"


def _windows(manifest: Manifest, example: Example) -> Iterator[Picture]:
    """One small picture a sensor: what was measured and what the model made of it."""
    minutes = (example.times - example.times[0]) / 60.0
    for column, sensor in list(enumerate(manifest.sensors))[:SENSORS_SHOWN]:
        figure, (axes,) = draw(3.6, 2.1)
        axes.plot(minutes, example.observed[:, column], color=BLACK, linewidth=2.6)
        axes.plot(minutes, example.reconstruction[:, column], color=ORANGE, linewidth=1.4, marker="s", markersize=3)
        axes.set_title(f"{sensor.name}{f' ({sensor.unit})' if sensor.unit else ''}")
        axes.set_xlabel("minutes")
        axes.margins(y=0.25)
        axes.ticklabel_format(axis="y", useOffset=False)  # '+1.4e3' above an axis is overlooked
        yield Picture(as_uri(figure), f"{sensor.name}: measured against the model's reconstruction")
