"""The control file as the workers' queue."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

from detector.transports import files
from detector.transports.control import parse_control, send_control
from schemas.config import Files, Settings
from schemas.control import ModelRejected, RetrainRequest, Trigger

WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def request(word: str) -> RetrainRequest:
    return RetrainRequest(id=word, model="m", model_version=None, trigger=Trigger.PERSON, at=WHEN, reason="")


def test_a_worker_goes_on_in_the_control_file_from_where_it_was(tmp_path: Path) -> None:
    """Answered requests are passed over, new ones come once, and what was read is not read again."""
    settings = Settings(transport="files", files=Files(directory=tmp_path))
    answer = ModelRejected(id="a", model="m", model_version=None, at=WHEN, answers="answered", reason="no")
    for message in (request("answered"), answer, request("open")):
        send_control(settings, message)
    path = tmp_path / f"{settings.topics.control}.jsonl"
    turns = itertools.count()

    def idle() -> None:
        if next(turns) == 0:  # whoever read from the beginning again would now find rubbish there
            with path.open("r+b") as file:
                file.write(b"#" * 10)
            send_control(settings, request("new"))

    records = itertools.islice(files.consume_control(settings, idle), 3)
    assert [parse_control(record.value) for record in records] == [answer, request("open"), request("new")]
