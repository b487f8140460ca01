"""Errors by whose fault they are. Any other exception that leaves a command is a bug.

    WatchkeeperError            one line for a person: what is wrong with which thing, and what to do
    |-- ConfigError             the configuration's: a key, a value, a file that is not there     exit code 2
    |-- DataError               the data's: a history, file or state that is unreadable or short  exit code 3
    |-- BundleError             the bundle's: tampered, truncated, not for these sensors          exit code 4
    |   `-- StoreError          the store's: away, denying, answering rubbish; later it may give   the same
    |-- BrokerError             the broker's: away at the start, refusing a right                 exit code 5
    |   `-- RetriableError      for now: a delivery was not confirmed; the loop begins again at its last checkpoint
    |       `-- PartitionsLost  nobody's: the group gave our partitions to others before we had committed
    |-- BadInputLimit           the feed's: more dead letters than the stated limit               exit code 6
    |-- NothingScored           the feed's: a file was read and nothing of it scored              exit code 6
    `-- StalledError            ours, or a library's: the loop no longer moves                    exit code 7

A record's fault is not an exception but a dead letter with a reason code (schemas.feed.Reason).
"""

_LONGEST = 1000  # signs; what is wrong may hold a stranger's words


def one_line(text: str) -> str:
    """Text from outside, fit for a log or a terminal: nothing in it ends a line or steers either."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


class WatchkeeperError(Exception):
    """Says what is wrong and what to do, in one line each, whatever the input held that they repeat."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = one_line(problem[:_LONGEST])
        self.remedy = one_line(remedy[:_LONGEST])

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}" if self.remedy else self.problem


class ConfigError(WatchkeeperError):
    """The configuration's fault."""

    exit_code = 2


class DataError(WatchkeeperError):
    """The data's fault: a history, file or state that cannot be read or written, or does not suffice."""

    exit_code = 3


class BundleError(WatchkeeperError):
    """The bundle's fault; the model in use stays."""

    exit_code = 4


class StoreError(BundleError):
    """The model store cannot be reached, refuses, or fails; the same question may be answered later."""


class BrokerError(WatchkeeperError):
    """The broker's fault."""

    exit_code = 5


class RetriableError(BrokerError):
    """What was sent may or may not have arrived. State is restored and the records since it are read again."""


class PartitionsLost(RetriableError):
    """The group gave our partitions to others before we had committed: they do it again. No fault of the broker."""


class BadInputLimit(WatchkeeperError):
    """The feed gives more dead letters than limits.bad_share of limits.bad_of_last records, or of limits.bad_span_s."""

    exit_code = 6


class NothingScored(WatchkeeperError):
    """Records were read to their end, and not one was scored."""

    exit_code = 6


class StalledError(WatchkeeperError):
    """The loop does not move, and nothing but the end of the process helps. The log has every thread's stack."""

    exit_code = 7
