"""The members of an ensemble: the model itself, and one for each fold. Each is a fitted network with its scaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from detector.core.arrays import Floats
from schemas.manifest import ComponentName
from trainer.fitting.fit import Curve, Scaled, fit, ordinary
from trainer.graph.components import LATENT, ScoreComponents
from trainer.graph.distance import Nearest, code_centres, code_neighbours
from trainer.graph.kmeans import centres
from trainer.graph.preprocess import Preprocess, Scaling, fit_scaling
from trainer.networks import build, build_forecaster
from trainer.networks.categorical import CategoricalNetwork, OneHotColumns
from trainer.networks.interface import Network
from trainer.parallel.pool import Send, parallel_map
from trainer.parallel.progress import OnProgress
from trainer.parallel.threads import one_thread
from trainer.replay.prepare import Prepared
from trainer.replay.splits import Split, thinned

STATISTICS_WINDOWS = 20_000  # enough for means and quartiles
CHUNK = 8192  # windows at once, outside the fit
FROM_WINDOWS = 4000  # of fewer a process costs more than it saves: it loads torch, which takes seconds


@dataclass(frozen=True, slots=True)
class FoldModel:
    """One fitted network with its own scaling, and the components that it gives a score."""

    scaling: Scaling
    preprocess: Preprocess
    network: nn.Module
    components: ScoreComponents
    curve: Curve


@dataclass(frozen=True, slots=True)
class FitTask:
    """A member to be fitted. whole: the model's scaling, for a fold."""

    name: str
    split: Split
    whole: Scaling | None


def fit_members(
    prepared: Prepared,
    tasks: Sequence[FitTask],
    names: tuple[ComponentName, ...],
    on_progress: OnProgress,
    processes: int,
) -> list[FoldModel]:
    """The tasks' members, in their order. Blocks.

    processes: how many of them may be fitted at a time; the same members come out, however many there are.
    """
    work = partial(_fit_alone, prepared, names)
    if min(processes, len(tasks)) < 2 or len(prepared.replay) < FROM_WINDOWS:
        return [fit_member(prepared, task, names, on_progress) for task in tasks]
    with parallel_map(processes, work, tasks, on_progress) as members:
        return list(members)


def _fit_alone(prepared: Prepared, names: tuple[ComponentName, ...], task: FitTask, send: Send) -> FoldModel:
    """In a process of its own."""
    with one_thread():
        return fit_member(prepared, task, names, send)


def fit_member(
    prepared: Prepared, task: FitTask, names: tuple[ComponentName, ...], on_progress: OnProgress
) -> FoldModel:
    """Scales and fits on `split.rest`, stops early on `split.held`. names: the components that the score may take."""
    training, split = prepared.training, task.split
    scaling = scaling_of(prepared, split, task.whole)
    preprocess = Preprocess(scaling)
    data = scaled(preprocess, prepared.replay.windows(thinned(split.rest, training.max_windows)))
    validation = scaled(preprocess, prepared.replay.windows(thinned(split.held, training.max_windows)))
    columns = OneHotColumns(tuple(map(len, scaling.categories)))
    fitted, validated = data.through(columns), validation.through(columns)
    network, curve = fit(task.name, fitted, validated, training, on_progress, build)
    if training.trim_percentile is not None:
        usual = ordinary(network, fitted, training.trim_percentile)
        data, fitted = data.at(usual), fitted.at(usual)
        network, curve = fit(f"{task.name}, trimmed", fitted, validated, training, on_progress, build)
    if any(scaling.categories):
        network = CategoricalNetwork(network, columns).eval()
    forecaster = None
    if "forecast" in names:
        title, ahead = f"{task.name}, forecaster", (data.ahead(), validation.ahead())
        forecaster, _ = fit(title, *ahead, training, on_progress, build_forecaster)
    nearest = _nearest(names, network, data, training.seed)
    return FoldModel(scaling, preprocess, network, ScoreComponents(names, preprocess, forecaster, nearest), curve)


def scaling_of(prepared: Prepared, split: Split, whole: Scaling | None = None) -> Scaling:
    """The scaling of what is fitted on. whole: the model's, for a fold."""
    chosen = thinned(split.rest, prepared.training.max_windows)
    known = prepared.replay.windows(thinned(chosen, STATISTICS_WINDOWS))
    return fit_scaling(known, prepared.training, prepared.settings, whole)


@torch.no_grad()
def scaled(preprocess: Preprocess, windows: Floats) -> Scaled:
    """Windows (window, row, sensor) in engineering units as a network sees them."""
    parts = [preprocess(torch.from_numpy(windows[b : b + CHUNK])) for b in range(0, len(windows), CHUNK)]
    values = torch.cat([values for values, _ in parts])
    return Scaled(values, preprocess.shown(values), torch.cat([present for _, present in parts]), preprocess.hidden())


def _nearest(
    names: tuple[ComponentName, ...], network: nn.Module, data: Scaled, seed: int
) -> dict[ComponentName, nn.Module]:
    """What measures the distances among the components: from the windows that the network was fitted on."""
    found: dict[ComponentName, nn.Module] = {}
    if "distance" in names:
        found["distance"] = Nearest(centres(data.values, seed))
    codes = _codes(network, data.shown) if LATENT & {*names} else None
    if codes is not None and "latent_neighbours" in names:
        found["latent_neighbours"] = code_neighbours(codes)
    if codes is not None and "latent_centres" in names:
        found["latent_centres"] = code_centres(codes, seed)
    return found


@torch.no_grad()
def _codes(network: nn.Module, shown: Tensor) -> Tensor:
    """(window, row, sensor) -> (window, latent)."""
    trusted: Network = network  # type: ignore[assignment]
    return torch.cat([trusted.encode(windows) for windows in torch.split(shown, CHUNK)])
