"""`score: auto`: which components, at which time scales, a score is a sum of. The history decides, without a label.

Synthetic anomalies are put into held-out windows (trainer/scoring/injection.py), and the networks that never saw these
windows score them, exactly as they will score the feed. A candidate's figure is the average precision with which it
finds the anomalous rows: the mean over the kinds of anomaly. Networks are fitted once; every candidate is a sum of the
same components.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.core.arrays import Bytes, Doubles
from schemas.manifest import Choice, ComponentName, Scoring, Tried
from schemas.training import ComponentSettings, Training
from trainer.graph.components import DISTANCES
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
# A lead over the chain without a model counts from this many standard errors on. They are many because twenty
# candidates are tried, and because a short history is a single draw itself.
MIN_STANDARD_ERRORS = 5.0
COST_PER_COMPONENT = 0.002  # of average precision: a component takes time per record, and adds its share of chance


@dataclass(frozen=True, slots=True)
class Candidate:
    """A score that may be chosen: a sum of components, smoothed."""

    components: tuple[ComponentSettings, ...]
    score_alpha: float

    @property
    def names(self) -> tuple[ComponentName, ...]:
        """The component set: each name once."""
        return tuple(dict.fromkeys(component.name for component in self.components))

    @property
    def description(self) -> str:
        """For people."""
        terms = [
            each.name + ("" if each.vector_alpha == 1 else f" (slow {each.vector_alpha:g})") for each in self.components
        ]
        return " + ".join(terms) + (f", smoothed {self.score_alpha:g}" if self.score_alpha < 1 else "")


@dataclass(frozen=True, slots=True)
class SyntheticCase:
    """Held-out windows with one kind of anomaly in them, and what the last row of each window is."""

    kind: str
    components: HeldOutComponents
    marks: Bytes  # (window,) NORMAL, ANOMALOUS or AFTER

    def average_precision(self, scores: Doubles) -> float:
        """How well scores (window,) find the anomalous rows, 0 to 1."""
        counted = (self.marks == NORMAL) | (self.marks == ANOMALOUS)
        return area_under_pr(self.marks[counted] == ANOMALOUS, scores[counted]) or 0.0


class CandidateEvaluator:
    """Scores candidates. Each component is calibrated once, however many candidates share it."""

    def __init__(self, held: HeldOutComponents, weights: Doubles) -> None:
        """weights: (sensor,) of the sensors' deviations."""
        self._held = held
        self._weights = weights
        self._calibrated: dict[ComponentSettings, CalibratedComponent] = {}

    def scoring(self, candidate: Candidate) -> tuple[Scoring, Doubles]:
        """The bundle's scoring, and the held-out scores (window,) that the threshold is set on."""
        calibrated = [self._calibrate(each) for each in candidate.components]
        total = sum((each.held_out for each in calibrated), np.zeros(1))
        components = tuple(each.component() for each in calibrated)
        scoring = Scoring(method="sum", components=components, score_alpha=candidate.score_alpha)
        return scoring, self._held.smoothed_scores(total, candidate.score_alpha)

    def average_precisions(self, candidates: list[Candidate], cases: list[SyntheticCase]) -> Doubles:
        """How well each candidate finds the synthetic anomalies, (candidate, case)."""
        columns = [self._of_case(candidates, case) for case in cases]
        return np.array(columns).T if columns else np.zeros((len(candidates), 0))

    def _of_case(self, candidates: list[Candidate], case: SyntheticCase) -> list[float]:
        settings = {each for candidate in candidates for each in candidate.components}
        distances = {each: self._calibrate(each).distances(case.components) for each in settings}
        found = []
        for candidate in candidates:
            total = sum((distances[each] for each in candidate.components), np.zeros(1))
            scores = case.components.smoothed_scores(total, candidate.score_alpha)
            found.append(case.average_precision(scores))
        return found

    def _calibrate(self, settings: ComponentSettings) -> CalibratedComponent:
        if settings not in self._calibrated:
            calibrated = calibrate_component(self._held, settings.name, settings.vector_alpha, self._weights)
            self._calibrated[settings] = calibrated
        return self._calibrated[settings]


def candidates(training: Training) -> list[Candidate]:
    """Every component set at every smoothing. The more there are, the more often one looks best by chance alone."""
    sets = [names for names in COMPONENT_SETS if training.window > 1 or "forecast" not in names]
    smoothed = (components for names in sets for components in _smoothings(names, training.vector_alpha))
    return [Candidate(components, training.score_alpha) for components in smoothed]


def choose(evaluator: CandidateEvaluator, training: Training, cases: list[SyntheticCase]) -> tuple[Candidate, Choice]:
    """The candidate to take, and how each component set did at its best smoothing."""
    tried = candidates(training)
    taken, choice = rank(tried, evaluator.average_precisions(tried, cases), np.array([case.kind for case in cases]))
    return tried[taken], choice


def rank(tried: list[Candidate], found: Doubles, kinds: NDArray[np.str_]) -> tuple[int, Choice]:
    """Which candidate to take by average precisions (candidate, case), and the table. kinds: (case,) of anomaly."""
    net = found.mean(axis=1) - COST_PER_COMPONENT * np.array([len(candidate.components) for candidate in tried])
    baseline, best = _without_model(tried), int(np.argmax(net))
    taken = best if beats(found[best], found[baseline], kinds) else baseline
    rows = _best_of_sets(tried, net, baseline, taken)
    table = tuple(_tried(tried[row], found[row], kinds, chosen=row == taken) for row in rows)
    return taken, Choice(kinds=tuple(KINDS), tried=table)


def beats(found: Doubles, other: Doubles, kinds: NDArray[np.str_]) -> bool:
    """Whether a lead, case by case (case,), is more than the chance of how cases of one kind were drawn."""
    lead = found - other
    drawn = [lead[kinds == kind] for kind in np.unique(kinds)]
    chance = [one.var(ddof=1) for one in drawn if len(one) > 1]
    return bool(chance) and float(lead.mean()) > MIN_STANDARD_ERRORS * float(np.sqrt(np.mean(chance) / len(lead)))


def describe_choice(choice: Choice) -> tuple[str, ...]:
    """What was chosen, for people. A network that does not beat the chain without a model says so."""
    (chosen,) = (tried for tried in choice.tried if tried.chosen)
    without = next(tried for tried in choice.tried if tried.components == WITHOUT_MODEL)
    text = f"the score was chosen on synthetic anomalies: {chosen.score} (it finds {chosen.mean:.3f}"
    if chosen is without:
        best = max((tried for tried in choice.tried if tried is not without), key=lambda tried: tried.mean)
        return (f"{text}); no network beats it beyond chance: the best with one, {best.score}, finds {best.mean:.3f}",)
    return (f"{text}; the chain without a model {without.mean:.3f})",)


def _smoothings(names: tuple[ComponentName, ...], alpha: float) -> Iterator[tuple[ComponentSettings, ...]]:
    """A component set with its vectors as they are (fast) and smoothed (slow). A set of one also has both at once."""
    fast = tuple(ComponentSettings(name=name) for name in names)
    yield fast
    if alpha == 1 or DISTANCES & {*names}:  # a distance has no vector to smooth
        return
    slow = tuple(ComponentSettings(name=name, vector_alpha=alpha) for name in names)
    yield slow
    if len(names) == 1:
        yield fast + slow


def _without_model(tried: list[Candidate]) -> int:
    """The chain without a model, fast and slow at once: normal data do not tell which faults either misses alone."""
    rows = [row for row, candidate in enumerate(tried) if candidate.names == WITHOUT_MODEL]
    return max(rows, key=lambda row: len(tried[row].components))


def _best_of_sets(tried: list[Candidate], net: Doubles, baseline: int, taken: int) -> list[int]:
    """The best candidate of each component set; of their own sets the baseline and the one that is taken stand."""
    best = {WITHOUT_MODEL: baseline, tried[taken].names: taken}
    for row, candidate in enumerate(tried):
        leader = best.setdefault(candidate.names, row)
        if leader not in (baseline, taken) and net[row] > net[leader]:
            best[candidate.names] = row
    return list(best.values())


def _tried(candidate: Candidate, found: Doubles, kinds: NDArray[np.str_], *, chosen: bool) -> Tried:
    by_kind = {kind: round(float(found[kinds == kind].mean()), 4) for kind in KINDS if (kinds == kind).any()}
    mean = round(float(found.mean()), 4) if len(found) else 0.0
    return Tried(score=candidate.description, components=candidate.names, found=by_kind, mean=mean, chosen=chosen)
