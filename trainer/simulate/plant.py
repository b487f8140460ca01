"""The simulated plant as a stream of days: drivers and faults in, measured records out.

Memory holds one day whatever the span. The same arguments give the same values, and a later part of a span
(`days_from`) gives what the whole span gives there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from detector.core.arrays import Bools, Doubles
from trainer.simulate import drivers
from trainer.simulate.drivers import DAY_S
from trainer.simulate.faults import (
    CONDITION,
    SHOWN_BY,
    FaultKind,
    SimulatedFault,
    TrueFault,
    Truth,
    active,
    leak,
    warming,
    wear,
)
from trainer.simulate.pump import Drivers, Fleet, PumpState, build_fleet, run
from trainer.simulate.scenario import Scenario, plan
from trainer.simulate.sensors import COLUMN, measure


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that decides what a plant sends."""

    scenario: Scenario = Scenario.CLEAN
    assets: int = 5
    days: float = 14.0
    period_s: float = 60.0
    seed: int = 1
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)

    @property
    def names(self) -> tuple[str, ...]:
        """The assets' names."""
        return tuple(f"pump-{number + 1}" for number in range(self.assets))

    @property
    def faults(self) -> tuple[SimulatedFault, ...]:
        """What goes wrong, in order."""
        return plan(self.scenario, self.assets, self.days)


@dataclass(frozen=True, slots=True)
class Block:
    """Up to a day of the plant; a row is one time of all assets."""

    times: Doubles  # (row,) seconds since 1970-01-01 UTC
    values: Doubles  # (row, asset, sensor) engineering units
    sent: Bools  # (row, asset) False where the asset is silent

    @property
    def records(self) -> int:
        """How many records the block holds."""
        return int(self.sent.sum())


def latest_start(days: float, now: datetime) -> datetime:
    """The last midnight (UTC) from which `days` end before `now`."""
    begin = now.astimezone(UTC) - timedelta(days=days)
    return begin.replace(hour=0, minute=0, second=0, microsecond=0)


def stream(simulation: Simulation, days_from: float = 0.0, days_to: float | None = None) -> Iterator[Block]:
    """The records from one day of the simulation to another, day by day and in order of time."""
    until = simulation.days if days_to is None else min(days_to, simulation.days)
    fleet = build_fleet(simulation.assets, np.random.default_rng([simulation.seed, 0]))
    state, held = PumpState(), dict[int, float]()
    for day in range(int(np.ceil(until))):
        times = _times(day, simulation.period_s)
        values = _day(simulation, fleet, state, day, times)
        _freeze(simulation.faults, times, values, held)
        wanted = (times >= days_from * DAY_S) & (times < until * DAY_S)
        if wanted.any():
            sent = _sent(simulation, times[wanted])
            yield Block(times[wanted] + simulation.start.timestamp(), values[wanted], sent)


def truth(simulation: Simulation) -> Truth:
    """What a watch over the whole simulation should find."""
    return Truth(
        scenario=simulation.scenario,
        seed=simulation.seed,
        start=simulation.start,
        days=simulation.days,
        period_s=simulation.period_s,
        assets=simulation.names,
        faults=tuple(_true_fault(simulation, fault) for fault in simulation.faults),
    )


def _true_fault(simulation: Simulation, fault: SimulatedFault) -> TrueFault:
    return TrueFault(
        kind=fault.kind,
        asset=None if fault.asset is None else simulation.names[fault.asset],
        start=simulation.start + timedelta(seconds=fault.start_s),
        end=simulation.start + timedelta(seconds=fault.end_s),
        condition=CONDITION.get(fault.kind),
        sensors=(fault.sensor,) if fault.sensor else SHOWN_BY[fault.kind],
    )


def _times(day: int, period_s: float) -> Doubles:
    """Times of a day's rows, seconds since the start of the simulation."""
    first, last = int(np.ceil(day * DAY_S / period_s)), int(np.ceil((day + 1) * DAY_S / period_s))
    return np.arange(first, last, dtype=np.float64) * period_s


def _day(simulation: Simulation, fleet: Fleet, state: PumpState, day: int, times: Doubles) -> Doubles:
    """A day's measured values, (row, asset, sensor); moves `state` on."""
    seed, assets, clock = simulation.seed, simulation.assets, times - day * DAY_S
    faults = simulation.faults
    acting = Drivers(
        setpoint=drivers.load(seed, day, clock, assets),
        resistance=drivers.valves(seed, day, clock, assets),
        level_m=drivers.tank_level(seed, day, clock, assets),
        ambient=drivers.ambient(seed, day, clock, assets) + warming(faults, times)[:, None],
        wear=wear(faults, times, assets),
        leak=leak(faults, times, assets),
    )
    true = run(fleet, acting, state, simulation.period_s)
    return measure(true, np.random.default_rng([seed, 9, day]))


def _freeze(faults: tuple[SimulatedFault, ...], times: Doubles, values: Doubles, held: dict[int, float]) -> None:
    """Repeats the first value of each stuck sensor; `held` carries it over midnight."""
    for number, fault in enumerate(faults):
        rows = np.flatnonzero(active(fault, times))
        if fault.kind is not FaultKind.STUCK or fault.sensor is None or not len(rows):
            continue
        column = COLUMN[fault.sensor]
        held.setdefault(number, float(values[rows[0], fault.asset, column]))
        values[rows, fault.asset, column] = held[number]


def _sent(simulation: Simulation, times: Doubles) -> Bools:
    sent = np.ones((len(times), simulation.assets), bool)
    for fault in simulation.faults:
        if fault.kind is FaultKind.SILENT:
            sent[active(fault, times), fault.asset] = False
    return sent
