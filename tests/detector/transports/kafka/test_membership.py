"""What the group gives and takes, as the loop learns of it."""

from kafka import TopicPartition
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.structs import ConsumerGroupMetadata

from detector.transports.interface import Rebalance
from detector.transports.kafka.membership import ForgetfulStickyAssignor, RebalanceRecorder


def member(generation: int, name: str) -> ConsumerGroupMetadata:
    return ConsumerGroupMetadata("watch", generation, name, None)


def places(*numbers: int) -> list[TopicPartition]:
    return [TopicPartition("readings", number) for number in numbers]


def rebalance(assigned: set[int], revoked: set[int], lost: set[int]) -> Rebalance:
    return Rebalance(frozenset(assigned), frozenset(revoked), frozenset(lost))


def test_what_is_kept_over_a_rebalance_is_no_change() -> None:
    """Cooperative: who keeps a partition goes on with it; what is given up in the same generation is handed over."""
    recorder = RebalanceRecorder(lambda: 2, ForgetfulStickyAssignor())
    recorder.on_partitions_assigned(places(0, 1))
    assert recorder.take(member(1, "a"), {}) == rebalance({0, 1}, set(), set())
    recorder.on_partitions_revoked(places(1))
    assert recorder.take(member(2, "a"), {0, 1}) == rebalance(set(), {1}, set())


def test_a_member_that_was_thrown_out_begins_anew_with_what_it_gets_again() -> None:
    """Another id: the group had given our partitions away meanwhile, whatever listeners were told or not told."""
    recorder = RebalanceRecorder(lambda: 5, ForgetfulStickyAssignor())
    recorder.on_partitions_assigned(places(0, 1, 2))
    recorder.take(member(1, "a"), {})
    assert recorder.take(member(-1, ""), {0, 1, 2}) == rebalance(set(), set(), set())  # joining
    recorder.on_partitions_revoked(places(2))
    assert recorder.take(member(5, "b"), {0, 1, 2}) == rebalance({0, 1}, set(), {0, 1, 2})
    assert recorder.take(member(5, "b"), {0, 1}) == rebalance(set(), set(), set())


def test_a_member_that_was_thrown_out_claims_nothing() -> None:
    """Or the leader waits for it to give up what it has not, and nobody gets these partitions."""
    assignor = ForgetfulStickyAssignor()
    held = ConsumerProtocolAssignment.TopicPartition("readings", [0, 1])
    given = ConsumerProtocolAssignment(version=0, assigned_partitions=[held], user_data=b"").encode()
    assignor.on_assignment(ConsumerProtocolAssignment.decode(given), 1)
    assert assignor.metadata({"readings"}).owned_partitions
    RebalanceRecorder(lambda: 1, assignor).on_partitions_lost(places(0, 1))
    assert not assignor.metadata({"readings"}).owned_partitions
