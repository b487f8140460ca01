"""Which topics a configuration needs, with which settings, and how those that exist differ from them."""

from collections.abc import Mapping

from detector.transports.interface import Stream
from detector.transports.kafka.admin import Admin, TopicFacts, TopicOrder
from detector.transports.kafka.codecs import missing_library
from detector.transports.package import Mismatch, TopicReport
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


# What the daemon does with each.
RIGHTS = {
    Stream.INPUT: ("READ",),
    Stream.ALERTS: ("WRITE",),
    Stream.SCORES: ("WRITE",),
    Stream.DEAD_LETTERS: ("WRITE",),
    Stream.CONTROL: ("READ", "WRITE"),
    Stream.STATE: ("READ", "WRITE"),
}


def admin(
    settings: Settings, *, create: bool, partitions: int | None, replication: int, wait_s: float
) -> list[TopicReport]:
    """The topics as they are or would be; with `create` those that are missing are made. Raises BrokerError."""
    with Admin(settings.kafka, wait_s) as client:
        found = client.describe(names(settings).values())
        orders = plan(settings, found, partitions, replication)
        if create:
            client.create(order for order in orders.values() if order.name not in found)
    return [_report(stream, order, found, settings, create) for stream, order in orders.items()]


def names(settings: Settings) -> dict[Stream, str]:
    """The topics that this configuration uses; the scores topic only where scores are emitted."""
    used = {stream: str(getattr(settings.topics, stream)) for stream in Stream}
    if settings.scores.emit == "none":
        del used[Stream.SCORES]
    return used


def plan(
    settings: Settings, found: Mapping[str, TopicFacts], partitions: int | None = None, replication: int = -1
) -> dict[Stream, TopicOrder]:
    """How each topic should be. partitions None: as many as the input has, or 4 where there is none yet."""
    wanted = names(settings)
    feed = found.get(wanted[Stream.INPUT])
    width = feed.partitions if feed else partitions or DEFAULT_PARTITIONS
    letters = _message_bytes(feed) + ENVELOPE_BYTES
    details: dict[Stream, tuple[int, dict[str, str]]] = {
        Stream.INPUT: (width, {}),
        Stream.ALERTS: (width, {"retention.ms": str(90 * DAY_MS)}),
        Stream.SCORES: (width, {"retention.ms": str(7 * DAY_MS)}),
        Stream.DEAD_LETTERS: (width, {"retention.ms": str(30 * DAY_MS), "max.message.bytes": str(letters)}),
        # One partition: requests and answers must be read in the order in which they were written.
        Stream.CONTROL: (1, {"retention.ms": str(365 * DAY_MS)}),
        Stream.STATE: (width, STATE_SETTINGS),
    }
    return {
        stream: TopicOrder(name, details[stream][0], replication, details[stream][1]) for stream, name in wanted.items()
    }


def mismatches(
    stream: Stream, facts: TopicFacts, found: Mapping[str, TopicFacts], settings: Settings
) -> list[Mismatch]:
    """What is wrong with a topic that exists."""
    feed = found.get(settings.topics.input)
    checks = {
        Stream.STATE: lambda: _state_mismatches(facts, feed),
        Stream.CONTROL: lambda: _control_mismatches(facts),
        Stream.DEAD_LETTERS: lambda: _letter_mismatches(facts, feed),
    }
    found_here = checks.get(stream, list)() + _codec_mismatches(facts)
    if facts.leaderless:
        problem = f"{facts.leaderless} of {facts.partitions} partitions have no leader"
        found_here.append(Mismatch(problem, "bring their brokers back", fatal=True))
    return found_here


def _report(
    stream: Stream, order: TopicOrder, found: Mapping[str, TopicFacts], settings: Settings, create: bool
) -> TopicReport:
    facts = found.get(order.name)
    if facts is None:
        return TopicReport(stream, order.name, create, create, order.partitions, order.settings)
    shown = {key: facts.settings[key] for key in order.settings if key in facts.settings}
    wrong = mismatches(stream, facts, found, settings)
    return TopicReport(
        stream, order.name, exists=True, created=False, partitions=facts.partitions, settings=shown, mismatches=wrong
    )


def _state_mismatches(facts: TopicFacts, feed: TopicFacts | None) -> list[Mismatch]:
    """State lies in the partition of the same number as the records it stands for."""
    wrong: list[Mismatch] = []
    if feed is not None and feed.partitions != facts.partitions:
        wrong.append(
            Mismatch(
                f"it has {facts.partitions} partitions, the input {feed.name} has {feed.partitions}",
                f"add partitions to the smaller one; or stop the daemon, delete {facts.name} and create it anew "
                "with 'watchkeeper topics --create', which forgets open incidents",
                fatal=True,
            )
        )
    policy = facts.settings.get("cleanup.policy", "compact")
    if policy != "compact":
        wrong.append(
            Mismatch(f"its cleanup.policy is {policy}", f"set cleanup.policy=compact on {facts.name}", fatal=True)
        )
    return wrong


def _control_mismatches(facts: TopicFacts) -> list[Mismatch]:
    if facts.partitions == 1:
        return []
    problem = f"it has {facts.partitions} partitions: requests and answers may overtake each other"
    return [Mismatch(problem, f"make {facts.name} anew with one partition", fatal=False)]


def _letter_mismatches(facts: TopicFacts, feed: TopicFacts | None) -> list[Mismatch]:
    """A dead letter holds the original bytes and must take the largest record that the input takes."""
    need, has = _message_bytes(feed) + ENVELOPE_BYTES, _message_bytes(facts)
    if has >= need or not facts.settings:
        return []
    problem = f"its max.message.bytes is {has}: the input's largest records do not fit with their headers"
    return [Mismatch(problem, f"set max.message.bytes={need} on {facts.name}", fatal=False)]


def _codec_mismatches(facts: TopicFacts) -> list[Mismatch]:
    """Where the topic says `producer`, only a batch shows its codec."""
    compression = facts.settings.get("compression.type", "producer")
    package = missing_library(compression)
    if package is None:
        return []
    problem = f"its compression.type is {compression}, and the library for it is not installed"
    return [Mismatch(problem, f"run: pip install {package}, in the environment that runs watchkeeper", fatal=True)]


def _message_bytes(facts: TopicFacts | None) -> int:
    return int(facts.settings.get("max.message.bytes", MESSAGE_BYTES)) if facts else MESSAGE_BYTES
