"""What a model looks at and why it alarmed, from a bundle and some data: `explain` gives all of it as plain values."""

from dataclasses import dataclass

from detector.bundles.loading import OnnxScorer
from detector.core.arrays import Doubles
from schemas.config import Alarms
from trainer.data.history import History
from trainer.explain.incident import Episode, worst_episode
from trainer.explain.latent import Clustering, Plane, clusterings, correlations, plane
from trainer.explain.sensitivity import Influence, influences
from trainer.explain.view import View, look


@dataclass(frozen=True, slots=True)
class Explained:
    """Everything that the page shows and the files hold."""

    view: View
    code: Plane | None  # None where the family has no code
    data: Plane
    correlation: Doubles  # (latent, latent), of the codes
    clusterings: list[Clustering]
    influences: list[Influence]  # strongest first
    episode: Episode


def explain(scorer: OnnxScorer, history: History, alarms: Alarms) -> Explained:
    """Blocks for some seconds to a minute. Raises DataError where the data give no window."""
    view = look(scorer, history, alarms)
    has_code = view.codes.shape[1] > 0
    return Explained(
        view=view,
        code=plane(view.codes) if has_code else None,
        data=plane(view.flat),
        correlation=correlations(view.codes),
        clusterings=clusterings({"code": view.codes, "data": view.flat} if has_code else {"data": view.flat}),
        influences=influences(view),
        episode=worst_episode(view),
    )
