"""The members of an ensemble: each is a fitted network with its scaling and the components that it gives a score."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from detector.core.arrays import Bools, Doubles, Floats, Ints
from schemas.manifest import ComponentName
from schemas.training import Training
from trainer.fitting.fit import Curve, Make, Scaled, fit, ordinary
from trainer.graph.distance import Nearest, code_centres, code_neighbours
from trainer.graph.graph import compare, scored_rows
from trainer.graph.kmeans import centres
from trainer.graph.parts import DISTANCES, LATENT, ScoreComponents, usual_values
from trainer.graph.preprocess import Preprocess, Scaling, fit_scaling
from trainer.networks import build, build_forecaster
from trainer.networks.categorical import CategoricalNetwork, OneHotColumns
from trainer.networks.interface import Network
from trainer.networks.losses import squares
from trainer.parallel.progress import Progressing
from trainer.replay import splits
from trainer.replay.prepare import Prepared

STATISTICS_WINDOWS = 20_000  # enough for means and quartiles
CHUNK = 8192  # windows at once, outside the fit


@dataclass(frozen=True, slots=True)
class FoldModel:
    """One fitted network with its own scaling."""

    scaling: Scaling
    preprocess: Preprocess
    network: nn.Module
    components: ScoreComponents
    curve: Curve


@dataclass(frozen=True, slots=True)
class FoldOutputs:
    """What a fold's model gives for windows, in the final scaling's units."""

    present: Bools  # (window, sensor) of the last row
    spread: Doubles  # (window, sensor) sum over the scored rows of squared (mse) or absolute (mae) residuals
    count: Ints  # (window,) present cells among the scored rows
    uncertainty: Doubles  # (window,) sum over the scored rows of the network's uncertainty
    parts: dict[ComponentName, Doubles]  # (window, sensor) or (window, 1) each, of the last row, not yet standardised

    def at(self, chosen: Ints) -> "FoldOutputs":
        """Of some of the windows."""
        cells = {
            field.name: getattr(self, field.name)[chosen] for field in fields(FoldOutputs) if field.name != "parts"
        }
        return FoldOutputs(**cells, parts={name: vectors[chosen] for name, vectors in self.parts.items()})


def scaling_of(prepared: Prepared, part: splits.Part, whole: Scaling | None = None) -> Scaling:
    """The scaling of what is fitted on. whole: the model's, for a fold."""
    chosen = splits.thinned(part.rest, prepared.training.max_windows)
    known = prepared.replay.windows(splits.thinned(chosen, STATISTICS_WINDOWS))
    return fit_scaling(known, prepared.training, prepared.settings, whole)


def fit_member(
    name: str, prepared: Prepared, part: splits.Part, whole: Scaling | None, say: Progressing,
    names: tuple[ComponentName, ...] = ("residual",),
) -> FoldModel:  # fmt: skip
    """Scales and fits on `part.rest`, stops early on `part.held`. whole: the model's scaling, for a fold.

    names: the parts that the score may be a sum of.
    """
    training = prepared.training
    scaling = scaling_of(prepared, part, whole)
    preprocess = Preprocess(scaling)
    data = scaled(preprocess, prepared.replay.windows(splits.thinned(part.rest, training.max_windows)))
    validation = scaled(preprocess, prepared.replay.windows(splits.thinned(part.held, training.max_windows)))

    def learn(title: str, make: Make, fitted: Scaled, validated: Scaled) -> tuple[nn.Module, Curve]:
        say.begin(title, training.epochs)
        network, curve = fit(title, fitted, validated, training, partial(say.epoch, title), make)
        say.done(title, curve.best_epoch, curve.validation[curve.best_epoch])
        return network, curve

    columns = OneHotColumns(tuple(map(len, scaling.categories)))
    fitted, validated = data.through(columns), validation.through(columns)
    network, curve = learn(name, build, fitted, validated)
    if training.trim_percentile is not None:
        usual = ordinary(network, fitted, training.trim_percentile)
        data, fitted = data.at(usual), fitted.at(usual)
        network, curve = learn(f"{name}, trimmed", build, fitted, validated)
    if any(scaling.categories):
        network = CategoricalNetwork(network, columns).eval()
    forecaster = None
    if "forecast" in names:
        forecaster, _ = learn(f"{name}, forecaster", build_forecaster, data.ahead(), validation.ahead())
    nearest = _nearest(names, network, data, training.seed)
    return FoldModel(scaling, preprocess, network, ScoreComponents(names, preprocess, forecaster, nearest), curve)


def _nearest(
    names: tuple[ComponentName, ...], network: nn.Module, data: Scaled, seed: int
) -> dict[ComponentName, nn.Module]:
    """What measures the distances among the parts: from the windows that the network was fitted on."""
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


@torch.no_grad()
def scaled(preprocess: Preprocess, windows: Floats) -> Scaled:
    """Windows (window, row, sensor) in engineering units as a network sees them."""
    parts = [preprocess(torch.from_numpy(windows[b : b + CHUNK])) for b in range(0, len(windows), CHUNK)]
    values = torch.cat([values for values, _ in parts])
    return Scaled(values, preprocess.shown(values), torch.cat([present for _, present in parts]), preprocess.hidden())


def outputs_of(member: FoldModel, training: Training, final: Scaling, batches: Iterable[Floats]) -> FoldOutputs:
    """What a model gives for windows, which come in batches (batch, window, sensor), engineering units."""
    return joined([_outputs(member, training, final, windows) for windows in batches])


def joined(outputs: list[FoldOutputs]) -> FoldOutputs:
    """The outputs of several batches as one, in their order."""
    names = [field.name for field in fields(FoldOutputs) if field.name != "parts"]
    return FoldOutputs(
        **{name: np.concatenate([getattr(one, name) for one in outputs]) for name in names},
        parts={name: np.concatenate([one.parts[name] for one in outputs]) for name in outputs[0].parts},
    )


@torch.no_grad()
def _outputs(member: FoldModel, training: Training, final: Scaling, windows: Floats) -> FoldOutputs:
    ratio = member.scaling.scale / final.scale
    given = torch.from_numpy(windows)
    found = compare(member.preprocess, member.network, given, scored_rows(training.score))
    errors = found.residual.numpy() * ratio
    sizes = errors**2 if squares(training.loss) else np.abs(errors)
    uncertainty = (
        np.zeros(len(errors)) if found.uncertainty is None else found.uncertainty.sum(dim=(1, 2)).double().numpy()
    )
    raw = zip(member.components.names, member.components(found), strict=True)
    return FoldOutputs(
        present=found.present[:, -1].numpy(),
        spread=sizes.sum(axis=1),
        count=found.present.sum(dim=(1, 2)).numpy(),
        uncertainty=uncertainty,
        parts={name: _in_units(name, vectors.double().numpy(), given, final, ratio) for name, vectors in raw},
    )


def _in_units(name: ComponentName, vectors: Doubles, windows: Tensor, final: Scaling, ratio: Doubles) -> Doubles:
    """A component's raw vector, of a model's own scaling, as the final scaling would have it."""
    if name == "values":  # nothing of them is learnt but the scaling
        preprocess = Preprocess(final)
        return usual_values(preprocess, preprocess(windows)[0]).double().numpy()
    return vectors if name in DISTANCES else vectors * ratio
