"""What the group gives and takes, as the loop is told of it."""

from kafka import TopicPartition
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.structs import ConsumerGroupMetadata

from detector.transports.kafka.membership import Changes, Claims, Notes


def member(generation: int, name: str) -> ConsumerGroupMetadata:
    return ConsumerGroupMetadata("watch", generation, name, None)


def places(*numbers: int) -> list[TopicPartition]:
    return [TopicPartition("readings", number) for number in numbers]


def changes(assigned: set[int], revoked: set[int], lost: set[int]) -> Changes:
    return Changes(frozenset(assigned), frozenset(revoked), frozenset(lost))


def test_what_is_kept_over_a_rebalance_is_no_change() -> None:
    """Cooperative: who keeps a partition goes on with it; what is given up in the same generation is handed over."""
    notes = Notes(lambda: 2, Claims())
    notes.on_partitions_assigned(places(0, 1))
    assert notes.take(member(1, "a"), {}) == changes({0, 1}, set(), set())
    notes.on_partitions_revoked(places(1))
    assert notes.take(member(2, "a"), {0, 1}) == changes(set(), {1}, set())


def test_a_member_that_was_thrown_out_begins_anew_with_what_it_gets_again() -> None:
    """Another id: the group had given our partitions away meanwhile, whatever listeners were told or not told."""
    notes = Notes(lambda: 5, Claims())
    notes.on_partitions_assigned(places(0, 1, 2))
    notes.take(member(1, "a"), {})
    assert notes.take(member(-1, ""), {0, 1, 2}) == changes(set(), set(), set())  # joining
    notes.on_partitions_revoked(places(2))
    assert notes.take(member(5, "b"), {0, 1, 2}) == changes({0, 1}, set(), {0, 1, 2})
    assert notes.take(member(5, "b"), {0, 1}) == changes(set(), set(), set())


def test_a_member_that_was_thrown_out_claims_nothing() -> None:
    """Or the leader waits for it to give up what it has not, and nobody gets these partitions."""
    claims = Claims()
    held = ConsumerProtocolAssignment.TopicPartition("readings", [0, 1])
    given = ConsumerProtocolAssignment(version=0, assigned_partitions=[held], user_data=b"").encode()
    claims.on_assignment(ConsumerProtocolAssignment.decode(given), 1)
    assert claims.metadata({"readings"}).owned_partitions
    Notes(lambda: 1, claims).on_partitions_lost(places(0, 1))
    assert not claims.metadata({"readings"}).owned_partitions
