"""What the daemon must be allowed to do, asked before it begins: else it is found out at the first alarm."""

from detector.errors import BrokerError
from detector.transports.kafka.admin import Admin, TopicFacts
from detector.transports.kafka.connection import PATIENCE_S
from detector.transports.kafka.diagnosis import grant, who
from detector.transports.kafka.topics import RIGHTS, names
from schemas.config import Settings


def demand_rights(settings: Settings) -> dict[str, TopicFacts]:
    """The topics that this login sees. Raises BrokerError that names every missing right on topics and group. Blocks.

    Topics that are not there are not its business; the right to a transactional id shows when the producer starts.
    """
    kafka, used = settings.kafka, names(settings)
    with Admin(kafka, PATIENCE_S) as admin:
        found = admin.describe(used.values())
        hidden = admin.hidden(name for name in used.values() if name not in found)
        lacks = [
            (right, "topic", name)
            for stream, name in used.items()
            for right in RIGHTS[stream]
            if name in hidden or not _allowed(found.get(name), right)
        ]
        if not admin.may_use_group(kafka.group):
            lacks.append(("READ", "group", kafka.group))
    if lacks:
        first, kind, name = lacks[0]
        missing = ", ".join(f"{right} the {kind} {name}" for right, kind, name in lacks)
        raise BrokerError(f"{who(kafka)} may not {missing}", grant(first.capitalize(), kind, name))
    return found


def _allowed(facts: TopicFacts | None, right: str) -> bool:
    return facts is None or facts.rights is None or right in facts.rights
