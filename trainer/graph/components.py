"""The components that a score can be a sum of, as torch modules: the part of the graph beside the network.

values: the last row's values themselves, scaled. residual: what the network does not reconstruct of them. forecast:
what a forecaster does not expect of them from the rows before. distance: from the window to the nearest of some typical
ones. latent_neighbours, latent_centres: from the window's code to the nearest codes of other windows, or to a typical
code.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detector.core.arrays import Doubles
from schemas.manifest import ComponentName
from trainer.graph.preprocess import Preprocess
from trainer.networks.interface import Network

DISTANCES: frozenset[ComponentName] = frozenset({"distance", "latent_neighbours", "latent_centres"})  # one column each
LATENT: frozenset[ComponentName] = DISTANCES - {"distance"}
ERROR_LIMIT = 20.0  # standard deviations: a wild cell is far out, and still forgotten by an EWMA in time


@dataclass(frozen=True, slots=True)
class Compared:
    """Windows beside the network's prediction. Rows: those asked for."""

    residual: Tensor  # (batch, rows, sensor) scaled units, 0 where missing; less where the network is less sure
    present: Tensor  # (batch, rows, sensor) bool
    uncertainty: Tensor | None  # (batch, rows, sensor) see Prediction, 0 where missing
    reconstruction: Tensor  # (batch, window, sensor) scaled
    code: Tensor  # (batch, latent)
    scaled: Tensor  # (batch, window, sensor)
    shown: Tensor  # (batch, window, sensor) the same as far as a network may see it


@dataclass(frozen=True, slots=True)
class Standard:
    """The location and size of a component's raw vector on held-out rows, (sensor,) each, scaled units."""

    shift: Doubles
    size: Doubles


class ScoreComponents(nn.Module):
    """The components of a score in their raw form. Fitted beside a network, and exported as far as they are chosen.

    nearest: what measures the distances among them, by name.
    """

    def __init__(
        self,
        names: tuple[ComponentName, ...],
        preprocess: Preprocess,
        forecaster: nn.Module | None,
        nearest: dict[ComponentName, nn.Module],
    ) -> None:
        super().__init__()
        self.names = names
        self.preprocess = preprocess
        self.forecaster = forecaster
        self.nearest = nn.ModuleDict({name: nearest[name] for name in names if name in DISTANCES})

    def only(self, names: tuple[ComponentName, ...]) -> "ScoreComponents":
        """The same without what these components do not need: onnxruntime runs every node, whatever is asked for."""
        forecaster = self.forecaster if "forecast" in names else None
        kept = tuple(dict.fromkeys(names))
        nearest = {name: self.nearest[name] for name in kept if name in DISTANCES}
        return ScoreComponents(kept, self.preprocess, forecaster, nearest)

    def forward(self, found: Compared) -> list[Tensor]:
        """(batch, sensor) scaled units, or (batch, 1), of each component; what is missing counts as it was filled."""
        return [self._raw(name, found) for name in self.names]

    def _raw(self, name: ComponentName, found: Compared) -> Tensor:
        if name == "values":
            return usual_values(self.preprocess, found.scaled)
        if name == "residual":
            return found.residual[:, -1]
        if name == "forecast":
            return self._surprise(found)
        distance: Tensor = self.nearest[name](found.code if name in LATENT else found.scaled.flatten(1))
        return distance

    def _surprise(self, found: Compared) -> Tensor:
        assert self.forecaster is not None
        network: Network = self.forecaster  # type: ignore[assignment]
        expected = network.decode(network.encode(found.shown[:, :-1]))[:, -1]
        return self.preprocess.apply_deadband(found.scaled[:, -1] - expected)


def usual_values(preprocess: Preprocess, scaled: Tensor) -> Tensor:
    """How far the last row's values are from their usual level, (batch, sensor), as far as it counts."""
    return preprocess.apply_deadband(scaled[:, -1] - preprocess.missing)


class StandardisedComponents(nn.Module):
    """The graph's output `parts`: each component's vector in its own standard deviations, one after the other.

    columns: the components in their order; one that is judged at two time scales stands there twice.
    """

    def __init__(
        self, components: ScoreComponents, columns: tuple[ComponentName, ...], standards: dict[ComponentName, Standard]
    ) -> None:
        super().__init__()
        self.components = components
        self._columns = columns
        for name in {*columns} & {*standards}:
            self.register_buffer(f"{name}_shift", torch.tensor(standards[name].shift, dtype=torch.float32))
            self.register_buffer(f"{name}_size", torch.tensor(standards[name].size, dtype=torch.float32))

    def forward(self, found: Compared) -> Tensor:
        """(batch, column); 0 where a sensor is missing."""
        raw = zip(self.components.names, self.components(found), strict=True)
        vectors = {name: self._standard(name, component, found.present[:, -1]) for name, component in raw}
        return torch.cat([vectors[name] for name in self._columns], dim=1)

    def _standard(self, name: ComponentName, vectors: Tensor, present: Tensor) -> Tensor:
        if name in DISTANCES:
            return vectors
        standard = (vectors - self.get_buffer(f"{name}_shift")) / self.get_buffer(f"{name}_size")
        return torch.where(present, standard, 0.0).clamp(-ERROR_LIMIT, ERROR_LIMIT)
