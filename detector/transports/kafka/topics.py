"""Which topics a configuration needs, with which settings, and how those that exist differ from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from detector.transports.kafka.admin import TopicFacts, TopicOrder
from schemas.config import Settings

DEFAULT_PARTITIONS = 4
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MESSAGE_BYTES = 1_048_588  # Kafka's own default of max.message.bytes
ENVELOPE_BYTES = 65_536  # what a dead letter's headers may add to the original record
# Small segments and an eager cleaner: a start reads all of it, and the newest segment is never compacted.
STATE_SETTINGS = {
    "cleanup.policy": "compact",
    "segment.ms": str(HOUR_MS),
    "segment.bytes": str(32 << 20),
    "min.cleanable.dirty.ratio": "0.1",
    "max.message.bytes": str(16 << 20),  # a bucket of a hundred assets with long windows and many sensors
}


class Role(StrEnum):
    """What a topic is for; the names of schemas.config.Topics."""

    INPUT = "input"
    ALERTS = "alerts"
    SCORES = "scores"
    DEAD_LETTERS = "dead_letters"
    CONTROL = "control"
    STATE = "state"


# What the daemon does with each.
RIGHTS = {
    Role.INPUT: ("READ",),
    Role.ALERTS: ("WRITE",),
    Role.SCORES: ("WRITE",),
    Role.DEAD_LETTERS: ("WRITE",),
    Role.CONTROL: ("READ", "WRITE"),
    Role.STATE: ("READ", "WRITE"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """How an existing topic differs. fatal: the daemon would lose state or records by it."""

    problem: str
    remedy: str
    fatal: bool


def names(settings: Settings) -> dict[Role, str]:
    """The topics that this configuration uses; the scores topic only where scores are emitted."""
    used = {role: str(getattr(settings.topics, role)) for role in Role}
    if settings.scores.emit == "none":
        del used[Role.SCORES]
    return used


def plan(
    settings: Settings, found: Mapping[str, TopicFacts], partitions: int | None = None, replication: int = -1
) -> dict[Role, TopicOrder]:
    """How each topic should be. partitions None: as many as the input has, or 4 where there is none yet."""
    wanted = names(settings)
    feed = found.get(wanted[Role.INPUT])
    width = feed.partitions if feed else partitions or DEFAULT_PARTITIONS
    letters = _message_bytes(feed) + ENVELOPE_BYTES
    details: dict[Role, tuple[int, dict[str, str]]] = {
        Role.INPUT: (width, {}),
        Role.ALERTS: (width, {"retention.ms": str(90 * DAY_MS)}),
        Role.SCORES: (width, {"retention.ms": str(7 * DAY_MS)}),
        Role.DEAD_LETTERS: (width, {"retention.ms": str(30 * DAY_MS), "max.message.bytes": str(letters)}),
        # One partition: requests and answers must be read in the order in which they were written.
        Role.CONTROL: (1, {"retention.ms": str(365 * DAY_MS)}),
        Role.STATE: (width, STATE_SETTINGS),
    }
    return {role: TopicOrder(name, details[role][0], replication, details[role][1]) for role, name in wanted.items()}


def faults(role: Role, facts: TopicFacts, found: Mapping[str, TopicFacts], settings: Settings) -> list[Fault]:
    """What is wrong with a topic that exists."""
    feed = found.get(settings.topics.input)
    checks = {
        Role.STATE: lambda: _state_faults(facts, feed),
        Role.CONTROL: lambda: _control_faults(facts),
        Role.DEAD_LETTERS: lambda: _letter_faults(facts, feed),
    }
    found_here = checks.get(role, list)()
    if facts.leaderless:
        problem = f"{facts.leaderless} of {facts.partitions} partitions have no leader"
        found_here.append(Fault(problem, "bring their brokers back", fatal=True))
    return found_here


def _state_faults(facts: TopicFacts, feed: TopicFacts | None) -> list[Fault]:
    """State lies in the partition of the same number as the records it stands for."""
    wrong: list[Fault] = []
    if feed is not None and feed.partitions != facts.partitions:
        wrong.append(
            Fault(
                f"it has {facts.partitions} partitions, the input {feed.name} has {feed.partitions}",
                f"add partitions to the smaller one; or stop the daemon, delete {facts.name} and create it anew "
                "with 'watchkeeper topics --create', which forgets open incidents",
                fatal=True,
            )
        )
    policy = facts.settings.get("cleanup.policy", "compact")
    if policy != "compact":
        wrong.append(
            Fault(f"its cleanup.policy is {policy}", f"set cleanup.policy=compact on {facts.name}", fatal=True)
        )
    return wrong


def _control_faults(facts: TopicFacts) -> list[Fault]:
    if facts.partitions == 1:
        return []
    problem = f"it has {facts.partitions} partitions: requests and answers may overtake each other"
    return [Fault(problem, f"make {facts.name} anew with one partition", fatal=False)]


def _letter_faults(facts: TopicFacts, feed: TopicFacts | None) -> list[Fault]:
    """A dead letter holds the original bytes and must take the largest record that the input takes."""
    need, has = _message_bytes(feed) + ENVELOPE_BYTES, _message_bytes(facts)
    if has >= need or not facts.settings:
        return []
    problem = f"its max.message.bytes is {has}: the input's largest records do not fit with their headers"
    return [Fault(problem, f"set max.message.bytes={need} on {facts.name}", fatal=False)]


def _message_bytes(facts: TopicFacts | None) -> int:
    return int(facts.settings.get("max.message.bytes", MESSAGE_BYTES)) if facts else MESSAGE_BYTES
