"""The refusal of another's state: two deployments that share a state topic would go on from each other's offsets."""

from detector.core.state.codec import Owner
from detector.errors import DataError


def not_ours(state: str, theirs: Owner, ours: Owner) -> DataError:
    """Why state is not taken up. state: its topic's name; the two differ in something that both know."""
    same = (theirs.group or ours.group) == ours.group and (theirs.topic or ours.topic) == ours.topic
    if same:
        return DataError(
            f"topics.state {state} stands for an earlier topic {ours.topic}: that one was made anew since",
            "name another kafka.group and topics.state to begin anew",
        )
    group = f"group {theirs.group} on " if theirs.group else ""
    return DataError(
        f"topics.state {state} is used by {group}topic {theirs.topic}, and this is "
        f"{ours.group or 'a run'} on {ours.topic}",
        "name another topics.state: each group and input needs its own",
    )
