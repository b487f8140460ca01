"""The physics of centrifugal pumps on one system: hydraulics at once, temperatures with a first-order lag.

Head of the pump (affinity laws) H = H0 s^2 - A q^2 meets head of the system H = Hs + K q^2; s is the speed over its
nominal value, q the flow through the pump. All arrays are (row, asset).
"""

from dataclasses import dataclass

import numpy as np

from detector.core.arrays import Doubles
from trainer.simulate.sensors import NAMES

NOMINAL_RPM = 1480.0
BAR_PER_METRE = 0.0980665  # water
KW_PER_M3H_METRE = 9.81 / 3600.0  # hydraulic power of 1 m3/h lifted by 1 m
SPEED_LAG_S = 240.0
MOTOR_LAG_S = 2700.0
BEARING_LAG_S = 1500.0
MOTOR_EFFICIENCY = 0.93
VOLTS = 400.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Parameters of the pumps, each (asset,): the same type, built and worn slightly differently."""

    head_m: Doubles  # H0, head at no flow and nominal speed
    curve: Doubles  # A, m per (m3/h)^2
    static_m: Doubles  # Hs, height to lift
    resistance: Doubles  # K, m per (m3/h)^2
    efficiency: Doubles  # at the best point
    motor_rise: Doubles  # degC per kW of loss
    bearing_rise: Doubles  # degC at nominal speed
    vibration: Doubles  # mm/s at nominal speed


@dataclass(frozen=True, slots=True)
class Drivers:
    """What acts on the pumps from outside, each (row, asset)."""

    setpoint: Doubles  # wanted speed over nominal
    resistance: Doubles  # factor on K: the consumers' valves
    level_m: Doubles  # water above the suction
    ambient: Doubles  # degC
    wear: Doubles  # of the bearing, 0 to 1
    leak: Doubles  # share of the pumped flow lost before the meter; the other pumps hold the header's pressure


@dataclass(slots=True)
class PumpState:
    """What lags behind, each (asset,); None before the first row."""

    speed: Doubles | None = None
    motor: Doubles | None = None
    bearing: Doubles | None = None


def build_fleet(assets: int, rng: np.random.Generator) -> Fleet:
    """Draws the parameters of each pump around those of the type."""

    def around(value: float, spread: float) -> Doubles:
        return value * (1.0 + spread * np.clip(rng.standard_normal(assets), -2, 2))

    return Fleet(
        head_m=around(62.0, 0.008),
        curve=around(14.0 / 180.0**2, 0.015),
        static_m=around(15.0, 0.01),
        resistance=around(33.0 / 180.0**2, 0.01),
        efficiency=around(0.78, 0.006),
        motor_rise=around(17.0, 0.015),
        bearing_rise=around(21.0, 0.015),
        vibration=around(2.1, 0.02),
    )


def run(fleet: Fleet, drivers: Drivers, state: PumpState, period_s: float) -> Doubles:
    """True values (row, asset, sensor) in the order of sensors.NAMES; moves `state` on."""
    speed, state.speed = _lag(drivers.setpoint, state.speed, period_s / SPEED_LAG_S)
    pumped, head = _hydraulics(fleet, drivers, speed)
    suction = (drivers.level_m - 2.0e-5 * pumped**2) * BAR_PER_METRE
    shaft = _shaft_power(fleet, pumped, head, speed, drivers.wear)
    power = shaft / MOTOR_EFFICIENCY
    factor = 0.72 + 0.16 * np.clip(power / 34.0, 0.0, 1.2)  # cos phi: a motor at part load draws idle current
    loss = power - shaft + 0.25
    warm = 1.0 + 0.004 * (drivers.ambient - 15.0)  # copper's resistance rises with temperature
    motor_goal = fleet.motor_rise * loss * warm
    motor, state.motor = _lag(motor_goal, state.motor, period_s / MOTOR_LAG_S)
    bearing_goal = fleet.bearing_rise * speed**1.5 + 0.16 * motor_goal + 38.0 * drivers.wear
    bearing, state.bearing = _lag(bearing_goal, state.bearing, period_s / BEARING_LAG_S)
    columns = {
        "speed": speed * NOMINAL_RPM,
        "flow": pumped * (1.0 - drivers.leak),
        "suction_pressure": suction,
        "discharge_pressure": suction + head * BAR_PER_METRE,
        "power": power,
        "current": power * 1000.0 / (np.sqrt(3.0) * VOLTS * factor),
        "motor_temperature": drivers.ambient + motor,
        "bearing_temperature": drivers.ambient + bearing,
        "vibration": _vibration(fleet, pumped, speed, drivers.wear),
        "ambient": drivers.ambient,
    }
    return np.stack([columns[name] for name in NAMES], axis=-1)


def _hydraulics(fleet: Fleet, drivers: Drivers, speed: Doubles) -> tuple[Doubles, Doubles]:
    """Flow through the pump (m3/h) and its head (m) where the two curves meet."""
    system = fleet.resistance * drivers.resistance
    drive = fleet.head_m * speed**2 - fleet.static_m + 0.3 * drivers.level_m
    pumped = np.sqrt(np.maximum(drive, 1.0) / (fleet.curve + system))
    return pumped, fleet.head_m * speed**2 - fleet.curve * pumped**2


def _shaft_power(fleet: Fleet, pumped: Doubles, head: Doubles, speed: Doubles, wear: Doubles) -> Doubles:
    off_best = pumped / (180.0 * speed) - 1.0
    efficiency = fleet.efficiency * (1.0 - 0.9 * off_best**2)
    return KW_PER_M3H_METRE * pumped * head / efficiency + 0.9 * wear * speed**2


def _vibration(fleet: Fleet, pumped: Doubles, speed: Doubles, wear: Doubles) -> Doubles:
    """Velocity (rms): grows with speed, away from the best flow, and with wear."""
    off_best = pumped / (180.0 * speed) - 1.0
    return fleet.vibration * (0.25 + 0.75 * speed**2 + 1.2 * off_best**2) + 6.0 * wear * (0.5 + 0.5 * speed)


def _lag(goal: Doubles, start: Doubles | None, rate: float) -> tuple[Doubles, Doubles]:
    """First-order lag of `goal` (row, asset) from `start` (asset,); gives all rows and the last one."""
    keep = np.exp(-rate)
    out = np.empty_like(goal)
    now = goal[0] if start is None else start
    for row, wanted in enumerate(goal):
        now = wanted + keep * (now - wanted)
        out[row] = now
    return out, out[-1].copy()
