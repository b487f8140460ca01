"""Faults of the network between daemon and broker, made by toxiproxy. The harness talks to the broker directly."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from deploy.local.toxiproxy import DOWN, UP
from tests.reliability.faults.bench import Bench
from tests.reliability.faults.plant import Plant
from tests.reliability.faults.registry import strike, weather


@strike("connection reset in mid-produce", proxied=True)
def reset_in_produce(bench: Bench, _plants: Sequence[Plant]) -> None:
    """Connections end after so many bytes towards the broker, in the middle of a request; then by a reset."""
    for number in range(bench.kills):
        with bench.proxy.toxic("limit_data", UP, bytes=3_000 + 5_000 * number):
            time.sleep(1.0)
        with bench.proxy.toxic("reset_peer", UP, DOWN, timeout=0):
            time.sleep(0.5)


@strike("broker cannot be reached", proxied=True)
def unreachable(bench: Bench, _plants: Sequence[Plant]) -> None:
    """Connections are refused for a while."""
    with bench.proxy.cut():
        time.sleep(bench.outage_s)


@strike("half-open network: no answers come", proxied=True)
def no_answers(bench: Bench, _plants: Sequence[Plant]) -> None:
    """Connections stand, requests arrive and are obeyed, and nobody hears of it."""
    with bench.proxy.toxic("timeout", DOWN, timeout=0):
        time.sleep(bench.outage_s)


@strike("half-open network: requests vanish", proxied=True)
def no_requests(bench: Bench, _plants: Sequence[Plant]) -> None:
    """Connections stand, and what is sent arrives nowhere."""
    with bench.proxy.toxic("timeout", UP, timeout=0):
        time.sleep(bench.outage_s)


@weather("slow and jittery broker")
def slow_and_jittery(bench: Bench) -> AbstractContextManager[None]:
    """Every answer and every request takes up to a fifth of a second more, each another time."""
    return bench.proxy.toxic("latency", UP, DOWN, latency=100, jitter=100)


@weather("bandwidth limit")
def bandwidth(bench: Bench) -> AbstractContextManager[None]:
    """A line that carries a tenth of what the daemon could take."""
    return bench.proxy.toxic("bandwidth", UP, DOWN, rate=max(100, bench.records // 100))


@weather("network that delivers in slivers")
def slivers(bench: Bench) -> AbstractContextManager[None]:
    """Requests and answers arrive some hundred bytes at a time."""
    return bench.proxy.toxic("slicer", UP, DOWN, average_size=300, size_variation=200, delay=50)
