"""What `watchkeeper check` and `watchkeeper topics` find where the transport is files."""

from collections.abc import Iterator

from detector.errors import ConfigError
from detector.transports.files.topics import path_of
from detector.transports.package import CheckResult, Status, TopicReport
from schemas.config import Settings


def preflight(settings: Settings, wait_s: float) -> Iterator[CheckResult]:
    """Whether the directory and the input are there."""
    del wait_s
    directory = settings.files.directory
    if not directory.is_dir():
        problem = f"the directory {directory} does not exist"
        yield CheckResult(Status.FAIL, "files", problem, "create it, or correct files.directory")
        return
    feed = path_of(settings, settings.topics.input)
    if settings.topics.input == "-" or feed.is_file():
        where = "standard input" if settings.topics.input == "-" else feed
        yield CheckResult(Status.OK, "files", f"the feed is {where}")
    else:
        yield CheckResult(Status.FAIL, "files", f"the feed {feed} does not exist", "write it, or correct topics.input")


def admin(
    settings: Settings, *, create: bool, partitions: int | None, replication: int, wait_s: float
) -> list[TopicReport]:
    """Files need none: raises ConfigError."""
    del settings, create, partitions, replication, wait_s
    raise ConfigError("the transport is 'files', which has no topics", "set transport: kafka")
