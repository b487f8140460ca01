"""The configuration file: one YAML file for daemon, worker and tools. Every key has a default to live with.

Durations end in `_s` (seconds), sizes in `_bytes` or `_mb`. Unknown keys are errors.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from schemas.base import Contract
from schemas.training import Training
from schemas.tuning import Axis

# Marks for `schemas.reload`. A key without a mark is fixed while a daemon runs.
TAKEN: dict[str, Any] = {"reloadable": True}  # SIGHUP takes a change up between two polls
ELSEWHERE: dict[str, Any] = {"daemon": False}  # the daemon never reads it: a change is another process's business

MODEL_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
TRANSACTIONAL = ("kafka",)  # transports that can deliver exactly once


class TimestampForm(StrEnum):
    """How a record writes its time."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    ISO8601 = "iso8601"


class Feed(Contract):
    """Where the fields of a record are. Paths into nested objects are dotted: `reading.temperature`."""

    form: Literal["wide", "long"] = Field(
        default="wide", description="wide: one record a row; long: one sensor a record"
    )
    asset: str = Field(default="asset", description="path of the asset's name; `@key` takes the record's key")
    timestamp: str = Field(default="timestamp", description="path of the event time")
    timestamp_form: TimestampForm = Field(
        default=TimestampForm.SECONDS,
        description="how the time is written: seconds, milli-, micro- or nanoseconds since 1970, or ISO 8601 text",
    )
    values: str | dict[str, str] = Field(
        default="",
        description="wide: the object that holds the sensors ('' is the record itself), or sensor -> path",
    )
    sensor: str = Field(default="sensor", description="long only: path of the sensor's name")
    value: str = Field(default="value", description="long only: path of the value")
    lateness_s: float = Field(
        default=5.0, ge=0, le=3600, description="long only: how long a row waits for its sensors, event time"
    )
    max_record_bytes: int = Field(default=1_048_576, ge=64, description="a longer record is a dead letter")
    max_future_s: float = Field(default=3600.0, gt=0, description="allowance beyond the transport's own timestamp")


class WatchRule(Contract):
    """Which model watches which assets; the first rule that matches counts."""

    model: str = Field(pattern=MODEL_NAME, description="the model's name")
    assets: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="shell-style globs on the asset's name", json_schema_extra=TAKEN
    )


class Alarms(Contract):
    """How scores and bad cells become incidents. Delays left null are the bundle's."""

    on_delay_s: float | None = Field(
        default=None,
        ge=0,
        description="how long a score must stay above the threshold before an incident opens, event time",
        json_schema_extra=TAKEN,
    )
    off_delay_s: float | None = Field(
        default=None,
        ge=0,
        description="how long it must stay below the lower threshold before the incident closes, event time",
        json_schema_extra=TAKEN,
    )
    major_factor: float = Field(
        default=2.0, gt=1, description="peak / threshold from which an incident is major", json_schema_extra=TAKEN
    )
    critical_factor: float = Field(
        default=4.0, gt=1, description="peak / threshold from which an incident is critical", json_schema_extra=TAKEN
    )
    update_every_s: float = Field(
        default=3600.0, gt=0, description="event time between updates of an open incident", json_schema_extra=TAKEN
    )
    top_sensors: int = Field(default=3, ge=1, le=50, description="sensors named in an alert", json_schema_extra=TAKEN)
    silent_after_s: float | None = Field(
        default=None,
        gt=0,
        description="time without a record; null: 20 periods, at least 60 s",
        json_schema_extra=TAKEN,
    )
    silence_clock: Literal["auto", "wall", "feed"] = Field(
        default="auto",
        description="what silence is measured against: the wall clock, or the feed's newest event time; "
        "auto: wall for kafka, feed for files",
    )
    missing_rows: int = Field(
        default=10, ge=1, description="rows without a sensor's value that raise an alarm", json_schema_extra=TAKEN
    )
    range_rows: int = Field(
        default=3, ge=1, description="rows outside a sensor's range that raise an alarm", json_schema_extra=TAKEN
    )
    quality_off_rows: int = Field(
        default=10, ge=1, description="good rows that close a data-quality incident", json_schema_extra=TAKEN
    )


class Drift(Contract):
    """When a feed has drifted: judged by blocks of rows, over several of them, with a pause between two requests."""

    enabled: bool = Field(
        default=True, description="whether drift is judged, and a retraining asked for", json_schema_extra=TAKEN
    )
    z_limit: float = Field(
        default=5.0, gt=0, description="block mean's distance in reference standard deviations", json_schema_extra=TAKEN
    )
    persist_blocks: int = Field(
        default=3, ge=1, description="consecutive blocks beyond the limit", json_schema_extra=TAKEN
    )
    min_share: float = Field(
        default=0.5, gt=0, le=1, description="share of a model's assets that must agree", json_schema_extra=TAKEN
    )
    cooldown_s: float = Field(
        default=86400.0, gt=0, description="event time between two requests for one model", json_schema_extra=TAKEN
    )


class ScoresOut(Contract):
    """Which scores go to the scores topic."""

    emit: Literal["none", "all", "every_nth", "above"] = Field(
        default="none",
        description="every row, none, every nth, or those above a fraction of the threshold",
        json_schema_extra=TAKEN,
    )
    nth: int = Field(default=10, ge=1, description="every_nth: offsets divisible by it", json_schema_extra=TAKEN)
    fraction: float = Field(
        default=0.8, gt=0, description="above: scores above this fraction of the threshold", json_schema_extra=TAKEN
    )


class Limits(Contract):
    """Bounds: the daemon pauses or refuses, it never grows."""

    poll_records: int = Field(
        default=5000, ge=1, le=100_000, description="most records taken in one poll", json_schema_extra=TAKEN
    )
    poll_interval_ms: int = Field(
        default=20, ge=0, le=1000, description="least time between polls", json_schema_extra=TAKEN
    )
    batch_windows: int = Field(
        default=256,
        ge=1,
        le=8192,
        description="windows scored in one call; more fall out of the processor's cache",
        json_schema_extra=TAKEN,
    )
    max_assets: int = Field(
        default=100_000,
        ge=1,
        description="assets with state; rows of further ones are flagged over_limit and counted; those of a checkpoint "
        "are taken up all the same, so that no open incident is lost with a partition that moves",
        json_schema_extra=TAKEN,
    )
    outstanding_sends: int = Field(default=5000, ge=1, description="messages in flight to the broker")
    bad_share: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="share of dead letters past which the daemon stops ...",
        json_schema_extra=TAKEN,
    )
    bad_of_last: int = Field(default=10_000, ge=1, description="... over so many records", json_schema_extra=TAKEN)
    bad_span_s: float = Field(
        default=3600.0,
        gt=0,
        description="... or over so long, by the clock or the feed's own time, and ten records at least",
        json_schema_extra=TAKEN,
    )
    checkpoint_s: float = Field(
        default=5.0, gt=0, description="state and offsets are committed this often", json_schema_extra=TAKEN
    )
    idle_s: float = Field(
        default=7 * 86400.0,
        gt=0,
        description="an asset silent for so long is forgotten, unless its alarm is open",
        json_schema_extra=TAKEN,
    )
    drain_s: float = Field(default=8.0, gt=0, description="budget of a graceful stop", json_schema_extra=TAKEN)
    delivery_timeout_s: float = Field(
        default=30.0, ge=2, description="unconfirmed for so long, work begins again at the last checkpoint"
    )
    broker_wait_s: float = Field(default=60.0, gt=0, description="how long to wait for a broker at the start")


class Topics(Contract):
    """Names of topics, or of files when the transport is `files`."""

    input: str = Field(default="sensors", description="the feed")
    alerts: str = Field(default="watchkeeper.alerts", description="what happened to incidents")
    scores: str = Field(default="watchkeeper.scores", description="packed scores, where scores.emit asks for them")
    dead_letters: str = Field(default="watchkeeper.dead-letters", description="records that could not be read")
    control: str = Field(
        default="watchkeeper.control", description="retrain requests, announcements of models, people's marks"
    )
    state: str = Field(default="watchkeeper.state", description="compacted checkpoints, private to watchkeeper")


class Kafka(Contract):
    """The broker and how to reach it. Secrets come from the environment or from files, never from this file's text."""

    bootstrap_servers: str = Field(default="localhost:9092", description="host:port, comma-separated")
    group: str = Field(
        default="watchkeeper", description="the consumer group; members of one group share the input's partitions"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="whether the connection is encrypted, and whether there is a login"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="how the login is proven; null: no login"
    )
    sasl_username: str | None = Field(default=None, description="the login")
    sasl_password: SecretStr | None = Field(
        default=None, description="set WATCHKEEPER_KAFKA__SASL_PASSWORD, or sasl_password_file"
    )
    sasl_password_file: Path | None = Field(default=None, description="file that holds the password, and nothing else")
    ssl_cafile: Path | None = Field(
        default=None,
        description="PEM file of the authorities that the broker's certificate is checked against; null: the system's",
    )
    ssl_certfile: Path | None = Field(
        default=None, description="PEM file of our own certificate, where the broker asks for one"
    )
    ssl_keyfile: Path | None = Field(default=None, description="PEM file of its private key")
    start: Literal["earliest", "latest"] = Field(
        default="earliest", description="where to begin without a committed offset"
    )
    max_partition_fetch_bytes: int = Field(
        default=1_048_576, ge=16_384, description="most bytes of one partition in an answer of the broker"
    )
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="name of this member, unique in its group: a restart within session_timeout_s moves no partition; "
        "null: a member without a name",
    )
    session_timeout_s: float = Field(default=10.0, ge=1, description="after so long without a sign a member is dead")
    max_poll_interval_s: float = Field(
        default=300.0,
        ge=1,
        description="a tick may last so long, and 4 times limits.delivery_timeout_s; then the daemon ends, exit code 7",
    )
    request_timeout_s: float = Field(default=10.0, ge=1, description="an answer of the broker may take so long")
    transaction_timeout_s: float = Field(
        default=60.0, ge=1, description="exactly_once: the broker gives up a dead member's transaction after so long"
    )


class Files(Contract):
    """The embedded transport: JSON lines. `-` is standard input or output."""

    directory: Path = Field(default=Path(), description="relative topic names are files NAME.jsonl in here")
    follow: bool = Field(default=False, description="wait for more lines at the end of the input")


class Http(Contract):
    """Health and metrics; read only. Listens on localhost unless told otherwise."""

    enabled: bool = Field(default=True, description="whether /healthz, /readyz and /metrics are served")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=9464, ge=0, le=65535, description="0 takes a free port")


class Serve(Contract):
    """`watchkeeper serve`: a bundle over HTTP. Listens on localhost unless told otherwise; asks for no login."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=9465, ge=0, le=65535, description="0 takes a free port")
    max_body_bytes: int = Field(default=8_388_608, ge=1024, description="of one request")
    max_windows: int = Field(default=1024, ge=1, le=65_536, description="windows or codes in one request")
    max_rows: int = Field(default=20_000, ge=1, le=1_000_000, description="rows of one asset in one request")
    max_requests: int = Field(default=16, ge=1, le=1000, description="worked on at once; more are told to come back")
    body_timeout_s: float = Field(default=10.0, gt=0, description="a request's body may take so long to arrive")


class Logging(Contract):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severe line that is written"
    )
    form: Literal["auto", "json", "console"] = Field(default="auto", description="auto: console on a terminal")


class WorkerHttp(Contract):
    """The worker's health and metrics; read only. Off unless asked for: several workers may share a machine."""

    enabled: bool = Field(default=False, description="whether the worker serves /healthz, /readyz and /metrics")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=9466, ge=0, le=65535, description="0 takes a free port")


class WorkerSettings(Contract):
    """The trainer worker that answers retrain requests."""

    history_s: float = Field(default=14 * 86400.0, gt=0, description="span of the feed a retraining looks back on")
    max_history_mb: int = Field(
        default=128,
        ge=1,
        description="memory that the span's records may fill; beyond it blocks of time are left out evenly while it is "
        "read. A training takes some 13 times as much, and 1 GB",
    )
    reference: Path | None = Field(default=None, description="a frozen history file that every retraining includes")
    gate_share: float = Field(default=0.2, gt=0, lt=0.9, description="latest part of the span, kept for the gate")
    gate_tolerance: float = Field(
        default=1.0, gt=0, description="candidate's error may be this factor of the champion's"
    )
    min_rows: int = Field(default=500, ge=10, description="a span with fewer rows is not trained on")
    schedule_s: float | None = Field(
        default=None,
        gt=0,
        description="ask for a retraining once a model's newest version is this old, at once where it has none; null: "
        "never",
    )
    http: WorkerHttp = WorkerHttp()


class Trust(Contract):
    """Whose bundles are trusted. Keys are Ed25519 in PEM files; `watchkeeper models keys` makes a pair."""

    public_keys: tuple[Path, ...] = Field(
        default=(), description="files; where any is named, a bundle must be signed by one of these keys"
    )
    signing_key: Path | None = Field(
        default=None,
        description="private key that train, worker and `models sign` sign with; the daemon needs none",
        json_schema_extra=ELSEWHERE,
    )


class Settings(Contract):
    """The whole configuration."""

    version: Literal[1] = 1
    transport: Literal["kafka", "files"] = Field(
        default="kafka", description="where records come from and messages go: Apache Kafka, or files of JSON lines"
    )
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        default="at_least_once",
        description="exactly_once: outputs, state and offsets in one transaction, for readers that read_committed",
    )
    store: str = Field(default="models", description="folder or fsspec URL of the model store")
    feed: Feed = Feed()
    watch: tuple[WatchRule, ...] = Field(default=(WatchRule(model="default"),), min_length=1)
    alarms: Alarms = Alarms()
    drift: Drift = Drift()
    scores: ScoresOut = ScoresOut()
    topics: Topics = Topics()
    kafka: Kafka = Kafka()
    files: Files = Files()
    limits: Limits = Limits()
    http: Http = Http()
    serve: Serve = Field(default=Serve(), json_schema_extra=ELSEWHERE)
    logging: Logging = Logging()
    training: dict[str, Training] = Field(
        default_factory=dict, description="model name -> how it is fitted", json_schema_extra=ELSEWHERE
    )
    tuning: dict[str, Axis] = Field(
        default_factory=dict,
        description="key of a training, dotted -> where `tune` looks; none: its own choice",
        json_schema_extra=ELSEWHERE,
    )
    worker: WorkerSettings = Field(default=WorkerSettings(), json_schema_extra=ELSEWHERE)
    trust: Trust = Trust()

    @model_validator(mode="after")
    def _agrees(self) -> "Settings":
        if self.alarms.critical_factor < self.alarms.major_factor:
            raise ValueError("alarms.critical_factor must not be below alarms.major_factor")
        if self.kafka.sasl_mechanism and not self.kafka.sasl_username:
            raise ValueError("kafka.sasl_username is missing although kafka.sasl_mechanism is set")
        if self.delivery == "exactly_once" and self.transport not in TRANSACTIONAL:
            raise ValueError(f"delivery: exactly_once needs transport: {' or '.join(TRANSACTIONAL)}")
        return self
