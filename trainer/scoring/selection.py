"""`score: auto`: which parts, at which time scales, a score is a sum of; chosen on normal data with anomalies made up.

Held-out windows are injected (trainer/scoring/injection.py) and judged by the networks that never saw them, exactly as
they will be judged later: each candidate's figure is the average precision with which it finds the injected rows, the
mean over the kinds of anomaly. Networks are fitted once; all candidates are sums of the same parts. No label is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.core.arrays import Bytes, Doubles
from schemas.manifest import Choice, ComponentName, Scoring, Tried
from schemas.training import ComponentSettings, Training
from trainer.graph.parts import DISTANCES
from trainer.metrics.rows import area_under_pr
from trainer.scoring.components import CalibratedComponent, HeldOutComponents, calibrate_component
from trainer.scoring.injection import ANOMALOUS, KINDS, NORMAL

WITHOUT_MODEL: tuple[ComponentName, ...] = ("values",)  # the chain without a model
# What `auto` may take. Distances in latent space are not among it: of more that are tried, one looks better by chance.
SELECTABLE: tuple[ComponentName, ...] = ("values", "residual", "forecast", "distance")
COMPONENT_SETS: tuple[tuple[ComponentName, ...], ...] = (
    WITHOUT_MODEL,
    ("residual",),
    ("forecast",),
    ("values", "residual"),
    ("values", "forecast"),
    ("residual", "forecast"),
    ("values", "residual", "forecast"),
    ("values", "distance"),
    ("forecast", "distance"),
    ("residual", "forecast", "distance"),
)
# Standard errors by which a lead over the chain without a model is no chance. Many, for twenty candidates are tried,
# and a short history is one draw itself.
MIN_STANDARD_ERRORS = 5.0
COST_PER_COMPONENT = 0.002  # what a part must find more of, to be worth its time per record and its share of chance


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate."""

    components: tuple[ComponentSettings, ...]
    score_alpha: float

    @property
    def names(self) -> tuple[ComponentName, ...]:
        """Its parts' names, each once."""
        return tuple(dict.fromkeys(component.name for component in self.components))

    @property
    def words(self) -> str:
        """For people."""
        said = [
            part.name + ("" if part.vector_alpha == 1 else f" (slow {part.vector_alpha:g})") for part in self.components
        ]
        return " + ".join(said) + (f", smoothed {self.score_alpha:g}" if self.score_alpha < 1 else "")


@dataclass(frozen=True, slots=True)
class SyntheticCase:
    """Held-out windows with one kind of anomaly in them, and what each of their last rows is."""

    kind: str
    components: HeldOutComponents
    marks: Bytes  # (window,)


class CandidateEvaluator:
    """The parts of all candidates, each measured once."""

    def __init__(self, held: HeldOutComponents, weights: Doubles) -> None:
        self._held = held
        self._weights = weights
        self._gauges: dict[tuple[ComponentName, float], CalibratedComponent] = {}

    def calibrate_component(self, part: ComponentSettings) -> CalibratedComponent:
        """What a part is judged by."""
        key = part.name, part.vector_alpha
        if key not in self._gauges:
            self._gauges[key] = calibrate_component(self._held, *key, self._weights)
        return self._gauges[key]

    def scoring(self, chosen: Candidate) -> tuple[Scoring, Doubles]:
        """The chain's numbers, and the held-out scores (window,) that the threshold is set on."""
        calibrated = [self.calibrate_component(part) for part in chosen.components]
        components = tuple(each.component() for each in calibrated)
        scores = self._held.smoothed_scores(sum((each.usual for each in calibrated), np.zeros(1)), chosen.score_alpha)
        return Scoring(method="sum", components=components, score_alpha=chosen.score_alpha), scores

    def found(self, candidates: list[Candidate], injected: list[SyntheticCase]) -> Doubles:
        """How well each candidate finds what was made up, (candidate, case)."""
        found = np.zeros((len(candidates), len(injected)))
        for column, case in enumerate(injected):
            known: dict[tuple[ComponentName, float], Doubles] = {}
            for row, candidate in enumerate(candidates):
                for part in candidate.components:
                    key = part.name, part.vector_alpha
                    if key not in known:
                        known[key] = self.calibrate_component(part).measure(case.components)
                total = sum((known[part.name, part.vector_alpha] for part in candidate.components), np.zeros(1))
                found[row, column] = _precision(case, case.components.smoothed_scores(total, candidate.score_alpha))
        return found


def candidates(training: Training) -> list[Candidate]:
    """Every mixture at every pace. The more there are, the more often one looks best by chance alone."""
    sets = [names for names in COMPONENT_SETS if training.window > 1 or "forecast" not in names]
    smoothings = (parts for names in sets for parts in _smoothings(names, training.vector_alpha))
    return [Candidate(parts, training.score_alpha) for parts in smoothings]


def choose(
    evaluator: CandidateEvaluator, training: Training, injected: list[SyntheticCase]
) -> tuple[Candidate, Choice]:
    """The candidate to take, and how each mixture did at its best pace."""
    tried = candidates(training)
    found = evaluator.found(tried, injected)
    worth = found.mean(axis=1) - COST_PER_COMPONENT * np.array([len(candidate.components) for candidate in tried])
    # Both smoothings where there are two: of one alone nobody knows on normal data which faults it will pass over.
    plain = max(
        (n for n, one in enumerate(tried) if one.names == WITHOUT_MODEL), key=lambda n: len(tried[n].components)
    )
    best = int(np.argmax(worth))
    kinds = np.array([case.kind for case in injected])
    taken = best if beats(found[best], found[plain], kinds) else plain
    leaders: dict[tuple[ComponentName, ...], int] = {WITHOUT_MODEL: plain, tried[taken].names: taken}
    for number, candidate in enumerate(tried):
        first = leaders.setdefault(candidate.names, number)
        if first not in (plain, taken) and worth[number] > worth[first]:
            leaders[candidate.names] = number
    table = tuple(_tried(tried[n], found[n], kinds, chosen=n == taken) for n in leaders.values())
    return tried[taken], Choice(kinds=tuple(KINDS), tried=table)


def beats(found: Doubles, other: Doubles, kinds: NDArray[np.str_]) -> bool:
    """Whether a lead, case by case (case,), is more than the chance of how cases of one kind were drawn."""
    lead = found - other
    drawn = [lead[kinds == kind] for kind in np.unique(kinds)]
    chance = [one.var(ddof=1) for one in drawn if len(one) > 1]
    return bool(chance) and float(lead.mean()) > MIN_STANDARD_ERRORS * float(np.sqrt(np.mean(chance) / len(lead)))


def _smoothings(names: tuple[ComponentName, ...], slow: float) -> Iterator[tuple[ComponentSettings, ...]]:
    """At which time scales the vectors are judged: fast or slow; one that is alone also at both."""
    fast = tuple(ComponentSettings(name=name) for name in names)
    yield fast
    if slow == 1 or DISTANCES & {*names}:  # a distance has no vector that could be slow
        return
    calm = tuple(ComponentSettings(name=name, vector_alpha=slow) for name in names)
    yield calm
    if len(names) == 1:
        yield fast + calm


def _precision(case: SyntheticCase, scores: Doubles) -> float:
    known = (case.marks == NORMAL) | (case.marks == ANOMALOUS)
    return area_under_pr(case.marks[known] == ANOMALOUS, scores[known]) or 0.0


def _tried(candidate: Candidate, found: Doubles, kinds: NDArray[np.str_], *, chosen: bool) -> Tried:
    figures = {kind: round(float(found[kinds == kind].mean()), 4) for kind in KINDS if (kinds == kind).any()}
    mean = round(float(found.mean()), 4) if len(found) else 0.0
    return Tried(score=candidate.words, components=candidate.names, found=figures, mean=mean, chosen=chosen)


def describe_choice(choice: Choice) -> tuple[str, ...]:
    """What was chosen, for people; a network that does not beat the chain without a model says so."""
    (chosen,) = (one for one in choice.tried if one.chosen)
    without = next(one for one in choice.tried if one.components == WITHOUT_MODEL)
    said = f"the score was chosen on made-up anomalies: {chosen.score} (it finds {chosen.mean:.3f}"
    if chosen is without:
        best = max((one for one in choice.tried if one is not without), key=lambda one: one.mean)
        return (f"{said}); no network beats it beyond chance: the best with one, {best.score}, finds {best.mean:.3f}",)
    return (f"{said}; the chain without a model {without.mean:.3f})",)
