"""The whole matrix: importing this module registers every fault."""

from tests.faults import processes
from tests.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "processes"]
