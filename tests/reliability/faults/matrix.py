"""The whole matrix: importing this module registers every fault."""

from tests.reliability.faults import bad_records, brokers, control, disks, models, network, processes, topics
from tests.reliability.faults.registry import FAULTS, Fault

__all__ = [
    "FAULTS",
    "Fault",
    "bad_records",
    "brokers",
    "control",
    "disks",
    "models",
    "network",
    "processes",
    "topics",
]  # fmt: skip
