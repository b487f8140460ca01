"""The trials: kept in one SQLite file, so that a killed search goes on where it stopped; worked on by processes.

Every change of a trial is one transaction. A search that is started again marks trials without an end as failed (a
lock proves that their process is gone), and tries their values once more.
"""

import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import RDBStorage
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from detector.disk import make_out
from detector.errors import ConfigError, DataError, WatchkeeperError
from schemas.training import Training
from schemas.tuning import Axis
from trainer.data.history import History
from trainer.parallel.pool import CONTEXT, begin_process
from trainer.tuning.objective import TrialLosses, judge
from trainer.tuning.space import changed, grid, read, suggest

NAME = "watchkeeper"
FILE = "study.sqlite3"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
BUSY_S = 60  # that a process waits for another's transaction

Sampler = Literal["tpe", "random", "grid"]
Objective = Literal["detection", "reconstruction"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, and how."""

    folder: Path
    history: History
    base: Training
    space: dict[str, Axis]
    objective: Objective
    sampler: Sampler
    trials: int  # ended ones to reach, earlier ones included
    quiet: bool

    @property
    def identity(self) -> str:
        """What must be the same for trials to be compared."""
        axes = {key: axis.model_dump(mode="json") for key, axis in self.space.items()}
        facts = [self.history.fingerprint(), self.base.model_dump(mode="json"), axes, self.objective]
        return json.dumps(facts, sort_keys=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One search a folder. Raises ConfigError where another search holds it; the lock ends with its process."""
    make_out(folder)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another search works in {folder}", "wait for it, or name another --out") from None
        yield


def begin(search: Search) -> optuna.Study:
    """The study of the folder, created or resumed. Raises ConfigError where it was begun with other data or keys."""
    study = optuna.create_study(storage=_storage(search.folder), study_name=NAME, load_if_exists=True)
    known = study.user_attrs.get("identity")
    if known is None:
        study.set_user_attr("identity", search.identity)
    elif known != search.identity:
        raise ConfigError(
            f"{search.folder} holds a search of other data, another training, space or objective",
            "name another --out, or delete that folder",
        )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params and search.sampler != "grid":  # a grid comes back to it by itself
            study.enqueue_trial(trial.params)
    return study


def work(search: Search, jobs: int) -> None:
    """Blocks until the trials have ended. Raises WatchkeeperError where a process failed."""
    if jobs == 1:
        _optimise(search, 0)
        return
    processes = [CONTEXT.Process(target=_job, args=(search, number), daemon=True) for number in range(jobs)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lost = [process.exitcode for process in processes if process.exitcode]
    if lost:
        raise WatchkeeperError(
            f"{len(lost)} of {jobs} processes ended with {lost[0]}",
            "nothing that had ended is lost: the same command goes on; give fewer --jobs if memory ran out",
        )


def _job(search: Search, number: int) -> None:
    """One process. It ends with its parent, or a killed search would go on, and the next one start beside it."""
    begin_process()
    try:
        _optimise(search, number)
    except KeyboardInterrupt:
        sys.exit(130)


def _optimise(search: Search, number: int) -> None:
    study = optuna.load_study(study_name=NAME, storage=_storage(search.folder), pruner=_pruner())
    # A sampler that began anew from the same seed would ask for the same values again.
    seed = search.base.seed + 1000 * number + len(study.get_trials(deepcopy=False))
    study.sampler = sampler = _sampler(search, seed)
    if isinstance(sampler, optuna.samplers.GridSampler) and sampler.is_exhausted(study):
        return
    if len(study.get_trials(deepcopy=False, states=ENDED)) >= search.trials:
        return
    callbacks: list[Callable[[optuna.Study, FrozenTrial], None]] = [] if search.quiet else [_print_trial]
    callbacks.append(MaxTrialsCallback(search.trials, states=ENDED))
    study.optimize(lambda trial: _try(search, trial), callbacks=callbacks)


def _pruner() -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials=10)  # the median of fewer trials means little


def _sampler(search: Search, seed: int) -> optuna.samplers.BaseSampler:
    if search.sampler == "grid":
        return optuna.samplers.GridSampler(grid(search.space), seed=search.base.seed)
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _try(search: Search, trial: optuna.Trial) -> float:
    """One trial: a training of every fold, ended after any that is worse than the median of the others'."""
    values = suggest(trial, search.space, on_grid=search.sampler == "grid")

    def after(fold: int, so_far: TrialLosses) -> None:
        trial.report(getattr(so_far, search.objective), fold)
        if trial.should_prune():
            trial.set_user_attr("why", f"worse than the median after fold {fold + 1}")
            raise optuna.TrialPruned

    try:
        judged = judge(search.history, changed(search.base, values), after)
    except (ValidationError, DataError) as error:
        text = error.problem if isinstance(error, DataError) else error.errors(include_url=False)[0]["msg"]
        trial.set_user_attr("why", text[:200])
        raise optuna.TrialPruned from None
    trial.set_user_attr("detection", judged.detection)
    trial.set_user_attr("reconstruction", judged.reconstruction)
    return float(getattr(judged, search.objective))


def _print_trial(study: optuna.Study, trial: FrozenTrial) -> None:
    took = f"{trial.duration.total_seconds():.1f} s" if trial.duration else ""
    values = ", ".join(f"{key} {read(value)}" for key, value in trial.params.items())
    if trial.state is TrialState.COMPLETE:
        result = f"{trial.value:.4g} (best {study.best_value:.4g}, trial {study.best_trial.number})"
    else:
        result = f"ended early: {trial.user_attrs.get('why', trial.state.name.lower())}"
    print(f"trial {trial.number}: {result}; {values}; {took}", file=sys.stderr, flush=True)


def _storage(folder: Path) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # we print our own lines
    return RDBStorage(f"sqlite:///{(folder / FILE).absolute()}", engine_kwargs={"connect_args": {"timeout": BUSY_S}})
