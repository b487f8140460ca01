"""The story, chapter by chapter, with the real commands as processes."""

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from detector import disk
from detector.config import load_settings
from trainer.demo.judge import Observations
from trainer.demo.live import LiveView
from trainer.demo.processes import CommandError, CommandProcess
from trainer.demo.setup import MODEL, DemoSetup
from trainer.simulate.faults import Truth
from trainer.simulate.scenario import Chapter

LOOK_S = 0.1
TRAIN_LIMIT_S = 600.0
CATCH_UP_S = 120.0
# Records a second. A clean stretch may rush by; faults are to be read as they come.
FAST, READABLE, WAITING, CRAWLING = 20_000.0, 3_000.0, 400.0, 100.0
AFTER_SHARE = 0.35  # of the warm days, at least, comes with the new model
NO_MODEL_AFTER_S = 240.0  # a request that is not answered by then holds the story up no longer


@dataclass(frozen=True, slots=True)
class FinishedStory:
    """A story that came to its end."""

    observed: Observations
    live: LiveView
    pid: int
    seconds: float


def run_story(setup: DemoSetup) -> FinishedStory:
    """Runs the story. Raises CommandError when one of the commands fails."""
    begun = time.monotonic()
    print(_opening(setup), flush=True)
    _history(setup)
    _train(setup)
    with ExitStack() as stack:
        return _watch(setup, stack, begun)


def _watch(setup: DemoSetup, stack: ExitStack, begun: float) -> FinishedStory:
    settings = load_settings(setup.config, {})
    config = ["--config", str(setup.config)]
    reader = None
    if setup.bootstrap is None:
        (setup.feed / f"{settings.topics.input}.jsonl").touch()
    else:
        reader = _topics(setup, stack)
    daemon = stack.enter_context(CommandProcess(["run", *config], setup.directory / "logs"))
    worker = stack.enter_context(CommandProcess(["worker", *config], setup.directory / "logs"))
    live = LiveView(settings, setup.simulation.start, daemon.pid, show_alerts=setup.bootstrap is None)
    feeder = Feeder(setup, live, (daemon, worker), reader)
    pid = daemon.pid
    _head(
        "3. The watch begins",
        f"watchkeeper run (process {pid}) scores records as they come;\n"
        f"watchkeeper worker (process {worker.pid}) waits for requests to retrain.\n"
        "The simulated plant now sends as fast as you can read: a day takes seconds.",
    )
    _clean(setup, feeder)
    _faults(setup, feeder)
    _drift(setup, feeder)
    alive = daemon.running and daemon.pid == pid
    observed = Observations(
        truth=Truth.model_validate_json(setup.truth.read_text(encoding="utf-8")),
        clean=setup.chapter("clean"),
        drift=setup.chapter("drift"),
        alerts=list(live.alerts.values()),
        scores=live.scores,
        requests=len(live.requests),
        records=feeder.records,
        same_process=alive,
    )
    return FinishedStory(observed, live, pid, time.monotonic() - begun)


def _history(setup: DemoSetup) -> None:
    days = setup.chapter("history").days
    _head(
        "1. A plant and its history",
        f"Five pumps, ten sensors each, a record a minute: {days:g} days in which nothing is wrong.",
    )
    _finish(_simulate(setup, "history", "--out", str(setup.history), "--to-day", str(days)))


def _train(setup: DemoSetup) -> None:
    _head("2. Learning what is normal", "An autoencoder learns to rebuild the sensors from each other; no labels.")
    arguments = ["train", "--config", str(setup.config), "--model", MODEL, "--data", str(setup.history)]
    command = _finish(CommandProcess(arguments, setup.directory / "logs"))
    for line in command.output.splitlines()[-6:]:
        print(f"  {line}")


def _topics(setup: DemoSetup, stack: ExitStack) -> CommandProcess:
    """Makes the topics; gives the command that reads the alarms back, as an operator would."""
    logs, config = setup.directory / "logs", ["--config", str(setup.config)]
    print("\n  watchkeeper topics --create")
    for line in _finish(CommandProcess(["topics", "--create", *config], logs)).output.splitlines():
        print(f"    {line}")
    return stack.enter_context(
        CommandProcess(["alerts", "--follow", "--state", "opened", "--state", "closed", *config], logs)
    )


def _clean(setup: DemoSetup, feeder: "Feeder") -> None:
    chapter = setup.chapter("clean")
    _head(f"4. {chapter.days:g} clean days the model has never seen", "Every alarm here would be a false one.")
    feeder.feed(chapter, lambda: FAST)
    alarms = len({alert.data.incident for alert in feeder.live.alerts.values()})
    print(f"  {alarms} alarm(s) in {chapter.days:g} days on {setup.simulation.assets} pumps")


def _faults(setup: DemoSetup, feeder: "Feeder") -> None:
    chapter = setup.chapter("faults")
    _head(
        "5. Four things go wrong",
        "A bearing of pump-2 wears out; pump-4 leaks; a sensor of pump-1 sticks; pump-3 falls silent.\n"
        "Nobody tells the daemon. Watch who is named, and by which sensors:",
    )
    feeder.feed(chapter, lambda: READABLE)


def _drift(setup: DemoSetup, feeder: "Feeder") -> None:
    chapter, live = setup.chapter("drift"), feeder.live
    _head(
        "6. The seasons change",
        "Winter turns into summer: the air becomes 20 degrees warmer and stays so. No pump is at fault, but\n"
        "the model does not know this air. The daemon notices that it is the whole plant and not a pump,\n"
        "asks for a new model, and goes on watching meanwhile:",
    )
    latest = setup.simulation.start + timedelta(days=chapter.end - AFTER_SHARE * chapter.days)
    asked: list[float] = []

    def pace() -> float:
        """Slows down between the request and the new model: the plant's days are short, training is not."""
        if not live.requests or live.versions > 1:
            return READABLE
        asked[:] = asked or [time.monotonic()]
        if live.rejected or time.monotonic() - asked[0] > NO_MODEL_AFTER_S:
            return READABLE
        return WAITING if live.newest < latest else CRAWLING

    feeder.feed(chapter, pace)


class Feeder:
    """Sends parts of the simulation to the daemon, and shows what comes of it meanwhile."""

    def __init__(
        self, setup: DemoSetup, live: LiveView, watched: Sequence[CommandProcess], reader: CommandProcess | None
    ) -> None:
        self.live = live
        self.records = 0
        self._setup = setup
        self._watched = watched
        self._reader = reader  # `watchkeeper alerts --follow`, whose lines are shown

    def feed(self, chapter: Chapter, pace: Callable[[], float]) -> None:
        """Sends a chapter at a pace (records a second) that may change; blocks until all of it is scored."""
        rate = self._setup.directory / "rate"
        _replace(rate, pace())
        sink = ["--kafka", "--config", str(self._setup.config)]
        if self._setup.bootstrap is None:
            sink = ["--out", str(self._setup.feed / "sensors.jsonl"), "--append"]
        span = ["--from-day", repr(chapter.start), "--to-day", repr(chapter.end), "--rate-file", str(rate)]
        with _simulate(self._setup, f"feed-{chapter.name}", *sink, *span) as command:
            while command.running:
                self._look()
                _replace(rate, pace())
            command.check()
        self.records += _records(command)
        deadline = time.monotonic() + CATCH_UP_S
        while len(self.live.scores.seen) < self.records and time.monotonic() < deadline:
            self._look()

    def _look(self) -> None:
        self.live.look()
        for line in self._reader.new_lines() if self._reader else ():
            self.live.say(f"  {line}")
        for command in self._watched:
            if not command.running:
                command.check()
                raise CommandError(f"watchkeeper {command.name} ended before the story did", f"see {command.log}")
        time.sleep(LOOK_S)


def _replace(path: Path, rate: float) -> None:
    """In one step: the simulation reads the file at any time."""
    disk.replace(path, str(rate).encode())


def _simulate(setup: DemoSetup, name: str, *arguments: str) -> CommandProcess:
    plant = setup.simulation
    story = ["--scenario", plant.scenario.value, "--days", repr(plant.days), "--seed", str(plant.seed)]
    fixed = ["--assets", str(plant.assets), "--start", plant.start.isoformat(), "--truth", str(setup.truth)]
    return CommandProcess(["simulate", *story, *fixed, *arguments, "--json"], setup.directory / "logs", name)


def _finish(command: CommandProcess) -> CommandProcess:
    deadline = time.monotonic() + TRAIN_LIMIT_S
    with command:
        while command.running and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        if command.running:
            raise CommandError(
                f"watchkeeper {command.name} takes longer than {TRAIN_LIMIT_S:g} s", f"see {command.log}"
            )
        command.check()
    return command


def _records(command: CommandProcess) -> int:
    """How many records a simulation sent, by its own figures."""
    figures = re.findall(r"^\{.*\}$", command.output, re.MULTILINE)
    if not figures:
        raise CommandError(f"watchkeeper {command.name} printed no figures", f"see {command.log}")
    return int(json.loads(figures[-1])["records"])


def _head(title: str, text: str) -> None:
    lines = "\n".join(f"  {line}" for line in text.splitlines())
    print(f"\n{title}\n{lines}", flush=True)


def _opening(setup: DemoSetup) -> str:
    days = setup.simulation.days
    way = f"files in {setup.feed}"
    if setup.bootstrap is not None:
        way = f"Kafka at {setup.bootstrap}, topics {setup.name}.*"
    return f"""\
watchkeeper: a watch over sensor feeds, shown on a simulated plant
  It learns from history what is normal, raises an alarm when something is not, says which sensors
  gave it away, and learns anew when the world has changed. Everything below is the real program.

  What happens now: {days:g} days of five pumps in a few minutes, over {way}.
  A model learns from the first days; the daemon watches the others, in which four faults and a change
  of season await it; a worker trains a new model meanwhile. At the end there is a page with pictures,
  {setup.page}, and a word on what to do next. Ctrl-C stops everything."""
