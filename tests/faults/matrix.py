"""The whole matrix: importing this module registers every fault."""

from tests.faults import brokers, network, processes, topics
from tests.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "brokers", "network", "processes", "topics"]
