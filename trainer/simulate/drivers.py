"""What acts on the plant from outside, one plant day at a time: load, valves, tank level and weather.

Each day is drawn from (seed, day) alone, so any day can be made without the ones before it. Between two days' random
values the course is continuous. Days are counted from the start of the simulation, so that the calendar date on which
it is run changes nothing.
"""

import numpy as np

from detector.core.arrays import Doubles

DAY_S = 86400.0
# Speed over nominal by hour of a working day: night, morning peak, day, evening peak, night.
WORKDAY = (
    (0, 0.74),
    (5, 0.74),
    (6.5, 0.90),
    (9, 0.93),
    (11, 0.85),
    (16, 0.85),
    (18, 0.94),
    (21, 0.90),
    (23, 0.76),
    (24, 0.74),
)
WEEKEND = ((0, 0.74), (7, 0.74), (9, 0.84), (19, 0.86), (22, 0.80), (24, 0.74))
STEPS = 8  # random changes of load a day
SEASON_DEGC = 8.0  # half the way from winter to summer; day 0 is the coldest
DAY_DEGC = 4.0  # half the way from night to day


def load(seed: int, day: int, clock_s: Doubles, assets: int) -> Doubles:
    """Wanted speed over nominal, (row, asset): the day's schedule and an operator's random steps."""
    hours, levels = zip(*(WEEKEND if day % 7 in (5, 6) else WORKDAY), strict=True)
    rng = _rng(seed, day, 1)
    early = rng.uniform(-0.4, 0.4, assets)  # hours: nobody switches on the minute
    schedule = np.interp(((clock_s / 3600.0)[:, None] + early) % 24.0, hours, levels)
    steps = rng.uniform(-0.05, 0.05, (STEPS, assets))
    return np.asarray(schedule + steps[np.minimum((clock_s / DAY_S * STEPS).astype(int), STEPS - 1)])


def valves(seed: int, day: int, clock_s: Doubles, assets: int) -> Doubles:
    """Factor on the system's resistance, (row, asset): consumers open and close."""
    return 1.0 + 0.06 * _course(seed, day, 2, clock_s, knots=12, columns=assets)


def tank_level(seed: int, day: int, clock_s: Doubles, assets: int) -> Doubles:
    """Metres of water above the suction, (row, asset): filled at night, drawn down by day."""
    fall = 0.6 * np.cos(2 * np.pi * (clock_s / DAY_S - 0.2))
    return 3.5 + fall[:, None] + 0.3 * _course(seed, day, 3, clock_s, knots=6, columns=assets)


def ambient(seed: int, day: int, clock_s: Doubles, assets: int) -> Doubles:
    """Air temperature, degC, (row, asset): season, day and night, weather; each pump stands in its own corner."""
    when = day + clock_s / DAY_S
    season = -SEASON_DEGC * np.cos(2 * np.pi * when / 365.0)
    daily = -DAY_DEGC * np.cos(2 * np.pi * (clock_s / DAY_S - 0.125))
    weather = 1.0 * _course(seed, day, 4, clock_s, knots=2, columns=1)
    corner = 0.4 * _course(seed, day, 5, clock_s, knots=4, columns=assets)
    return (19.0 + season + daily)[:, None] + weather + corner


def _course(seed: int, day: int, stream: int, clock_s: Doubles, *, knots: int, columns: int) -> Doubles:
    """A smooth random course through `knots` values a day within -1 and 1, (row, column), joined at midnight."""
    values = np.concatenate(
        [
            _rng(seed, day, stream).uniform(-1, 1, (knots, columns)),
            _rng(seed, day + 1, stream).uniform(-1, 1, (knots, columns))[:1],
        ]
    )
    place = clock_s / DAY_S * knots
    left = np.minimum(place.astype(int), knots - 1)
    share = (place - left)[:, None]
    share = share * share * (3.0 - 2.0 * share)
    return np.asarray(values[left] * (1.0 - share) + values[left + 1] * share)


def _rng(seed: int, day: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream, day])
