"""What goes wrong in the plant, and the truth file that says so.

wear: a bearing's vibration and temperature rise progressively until it is replaced. leak: water is lost between pump
and flow meter. stuck: a sensor repeats one value. silent: an asset sends nothing. warming: the air of the whole plant
becomes warmer and stays so; no fault of an asset, but a change that a model has to learn.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Literal

import numpy as np
from pydantic import Field

from detector.core.arrays import Bools, Doubles
from schemas.alert import Condition
from schemas.base import Contract


class FaultKind(StrEnum):
    """See the module's text."""

    WEAR = "wear"
    LEAK = "leak"
    STUCK = "stuck"
    SILENT = "silent"
    WARMING = "warming"


class SimulatedFault(Contract):
    """One thing that goes wrong, in seconds since the start of the simulation."""

    kind: FaultKind
    asset: int | None = Field(description="index; null: the whole plant")
    start_s: float
    end_s: float
    sensor: str | None = Field(default=None, description="stuck only: which one")
    strength: float = Field(default=1.0, gt=0, description="factor on the usual size")


class TrueFault(Contract):
    """What a watch should have found. A warming has no expected condition: no single asset is at fault."""

    kind: FaultKind
    asset: str | None
    start: datetime
    end: datetime
    condition: Condition | None
    sensors: tuple[str, ...] = Field(description="the sensors that show it; one of them should lead the evidence")


class Truth(Contract):
    """The truth file of a simulation."""

    version: Literal[1] = 1
    scenario: str
    seed: int
    start: datetime
    days: float
    period_s: float
    assets: tuple[str, ...]
    faults: tuple[TrueFault, ...]


CONDITION = {
    FaultKind.WEAR: Condition.ANOMALY,
    FaultKind.LEAK: Condition.ANOMALY,
    FaultKind.STUCK: Condition.STUCK,
    FaultKind.SILENT: Condition.SILENT,
}
SHOWN_BY = {
    FaultKind.WEAR: ("vibration", "bearing_temperature"),
    FaultKind.LEAK: ("flow", "discharge_pressure"),
    FaultKind.SILENT: (),
    FaultKind.WARMING: ("ambient", "motor_temperature", "bearing_temperature"),
}
LEAK_SHARE = 0.14
FIRST_SPALL = 0.1
WARMING_DEGC = 20.0  # from winter to summer


def wear(faults: tuple[SimulatedFault, ...], times_s: Doubles, assets: int) -> Doubles:
    """Wear of the bearings, (row, asset): a first spall, then faster and faster up to the fault's strength."""
    return _summed(FaultKind.WEAR, faults, times_s, assets, lambda p: FIRST_SPALL + (1.0 - FIRST_SPALL) * p**1.5)


def leak(faults: tuple[SimulatedFault, ...], times_s: Doubles, assets: int) -> Doubles:
    """Share of the flow that is lost, (row, asset): opens within the first tenth of the fault."""
    return LEAK_SHARE * _summed(FaultKind.LEAK, faults, times_s, assets, lambda p: np.minimum(p * 10.0, 1.0))


def warming(faults: tuple[SimulatedFault, ...], times_s: Doubles) -> Doubles:
    """Degrees on top of the usual air temperature, (row,): a slow rise from start to end, then it stays."""
    total = np.zeros(len(times_s))
    for fault in faults:
        if fault.kind is FaultKind.WARMING:
            rise = np.clip((times_s - fault.start_s) / max(fault.end_s - fault.start_s, 1.0), 0.0, 1.0)
            total += WARMING_DEGC * fault.strength * rise
    return total


def active(fault: SimulatedFault, times_s: Doubles) -> Bools:
    """Rows from the fault's start to before its end, (row,)."""
    return (times_s >= fault.start_s) & (times_s < fault.end_s)


def _summed(
    kind: FaultKind,
    faults: tuple[SimulatedFault, ...],
    times_s: Doubles,
    assets: int,
    shape: Callable[[Doubles], Doubles],
) -> Doubles:
    total = np.zeros((len(times_s), assets))
    for fault in faults:
        if fault.kind is kind and fault.asset is not None:
            progress = (times_s - fault.start_s) / max(fault.end_s - fault.start_s, 1.0)
            inside = active(fault, times_s)
            total[inside, fault.asset] += fault.strength * shape(progress[inside])
    return total
