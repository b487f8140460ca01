"""The whole matrix: importing this module registers every fault."""

from tests.reliability.faults import brokers, disks, models, network, processes, rubbish, steering, topics
from tests.reliability.faults.registry import FAULTS, Fault

__all__ = [
    "FAULTS", "Fault", "brokers", "disks", "models", "network", "processes", "rubbish", "steering", "topics",
]  # fmt: skip
