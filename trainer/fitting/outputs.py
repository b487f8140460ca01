"""What a member gives for windows that it was not fitted on: the raw material of scores and of their calibration."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from detector.core.arrays import Bools, Doubles, Floats, Ints
from schemas.manifest import ComponentName
from schemas.training import Training
from trainer.fitting.members import FoldModel
from trainer.graph.components import DISTANCES, usual_values
from trainer.graph.graph import compare, scored_rows
from trainer.graph.preprocess import Preprocess, Scaling
from trainer.networks.losses import squares


@dataclass(frozen=True, slots=True)
class FoldOutputs:
    """What a fold's model gives for windows, in the final scaling's units."""

    present: Bools  # (window, sensor) of the last row
    spread: Doubles  # (window, sensor) sum over the scored rows of squared (mse) or absolute (mae) residuals
    count: Ints  # (window,) present cells among the scored rows
    uncertainty: Doubles  # (window,) sum over the scored rows of the network's uncertainty
    components: dict[ComponentName, Doubles]  # (window, sensor) or (window, 1) each, of the last row, not standardised

    def at(self, chosen: Ints) -> "FoldOutputs":
        """Of some of the windows."""
        components = {name: vectors[chosen] for name, vectors in self.components.items()}
        return FoldOutputs(**{name: getattr(self, name)[chosen] for name in _ARRAYS}, components=components)


_ARRAYS = tuple(field.name for field in fields(FoldOutputs) if field.name != "components")


def outputs_of(member: FoldModel, training: Training, final: Scaling, batches: Iterable[Floats]) -> FoldOutputs:
    """What a model gives for windows, which come in batches (batch, window, sensor), engineering units."""
    return joined([_outputs(member, training, final, windows) for windows in batches])


def joined(outputs: list[FoldOutputs]) -> FoldOutputs:
    """The outputs of several batches as one, in their order."""
    return FoldOutputs(
        **{name: np.concatenate([getattr(one, name) for one in outputs]) for name in _ARRAYS},
        components={name: np.concatenate([one.components[name] for one in outputs]) for name in outputs[0].components},
    )


@torch.no_grad()
def _outputs(member: FoldModel, training: Training, final: Scaling, windows: Floats) -> FoldOutputs:
    ratio = member.scaling.scale / final.scale
    inputs = torch.from_numpy(windows)
    found = compare(member.preprocess, member.network, inputs, scored_rows(training.score))
    errors = found.residual.numpy() * ratio
    sizes = errors**2 if squares(training.loss) else np.abs(errors)
    uncertainty = np.zeros(len(errors))
    if found.uncertainty is not None:
        uncertainty = found.uncertainty.sum(dim=(1, 2)).double().numpy()
    raw = zip(member.components.names, member.components(found), strict=True)
    return FoldOutputs(
        present=found.present[:, -1].numpy(),
        spread=sizes.sum(axis=1),
        count=found.present.sum(dim=(1, 2)).numpy(),
        uncertainty=uncertainty,
        components={name: _in_units(name, vectors.double().numpy(), inputs, final, ratio) for name, vectors in raw},
    )


def _in_units(name: ComponentName, vectors: Doubles, windows: Tensor, final: Scaling, ratio: Doubles) -> Doubles:
    """A component's raw vector, of a model's own scaling, as the final scaling would have it."""
    if name == "values":  # nothing of them is learnt but the scaling
        preprocess = Preprocess(final)
        return usual_values(preprocess, preprocess(windows)[0]).double().numpy()
    return vectors if name in DISTANCES else vectors * ratio
