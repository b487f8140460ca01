"""Faults of the network between daemon and broker, made by toxiproxy. The harness talks to the broker directly."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from deploy.local.toxiproxy import DOWN, UP
from tests.reliability.faults.daemon_run import DaemonRun
from tests.reliability.faults.registry import network_condition, shared_fault
from tests.reliability.faults.testbed import FaultTestbed


@shared_fault("connection reset in mid-produce", proxied=True)
def reset_in_produce(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """Connections end after so many bytes towards the broker, in the middle of a request; then by a reset."""
    for number in range(testbed.kills):
        with testbed.proxy.toxic("limit_data", UP, bytes=3_000 + 5_000 * number):
            time.sleep(1.0)
        with testbed.proxy.toxic("reset_peer", UP, DOWN, timeout=0):
            time.sleep(0.5)


@shared_fault("broker cannot be reached", proxied=True)
def unreachable(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """Connections are refused for a while."""
    with testbed.proxy.cut():
        time.sleep(testbed.outage_s)


@shared_fault("half-open network: no answers come", proxied=True)
def no_answers(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """Connections stand, requests arrive and are obeyed, and nobody hears of it."""
    with testbed.proxy.toxic("timeout", DOWN, timeout=0):
        time.sleep(testbed.outage_s)


@shared_fault("half-open network: requests vanish", proxied=True)
def no_requests(testbed: FaultTestbed, _runs: Sequence[DaemonRun]) -> None:
    """Connections stand, and what is sent arrives nowhere."""
    with testbed.proxy.toxic("timeout", UP, timeout=0):
        time.sleep(testbed.outage_s)


@network_condition("slow and jittery broker")
def slow_and_jittery(testbed: FaultTestbed) -> AbstractContextManager[None]:
    """Every answer and every request takes up to a fifth of a second more, each another time."""
    return testbed.proxy.toxic("latency", UP, DOWN, latency=100, jitter=100)


@network_condition("bandwidth limit")
def bandwidth(testbed: FaultTestbed) -> AbstractContextManager[None]:
    """A line that carries a tenth of what the daemon could take."""
    return testbed.proxy.toxic("bandwidth", UP, DOWN, rate=max(100, testbed.records // 100))


@network_condition("network that delivers in slivers")
def slivers(testbed: FaultTestbed) -> AbstractContextManager[None]:
    """Requests and answers arrive some hundred bytes at a time."""
    return testbed.proxy.toxic("slicer", UP, DOWN, average_size=300, size_variation=200, delay=50)
