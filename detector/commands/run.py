"""`watchkeeper run`: the daemon."""

from detector.commands.options import ConfigOption
from detector.config import load_settings
from detector.daemon.lifecycle import run_daemon
from detector.daemon.logs import configure_logs, write_line


def run(config: ConfigOption = None) -> None:
    """Watch a feed: score its records, open and close alarms, notice drift, take up new models.

    Reads records from Kafka (or JSON lines: transport: files), scores them with the current model of each watch rule
    and sends alerts to their topic. Offsets are committed after everything they gave was delivered.

    Signals: SIGTERM or Ctrl-C drains and stops (a second one stops at once); SIGHUP reads the configuration again.
    HTTP on http.host:http.port: /metrics, /healthz, /readyz.

    Exit codes: 0 ended as asked, 2 configuration, 3 data, 4 bundle, 5 broker, 6 too much bad input.
    """
    settings = load_settings(config)
    configure_logs(settings.logging)
    if settings.transport == "files":
        where = f"{settings.files.directory / settings.topics.input}.jsonl"
    else:
        where = f"topic {settings.topics.input} at {settings.kafka.bootstrap_servers}"
    write_line(f"watching {where}; alerts go to {settings.topics.alerts}; stop with Ctrl-C")
    run_daemon(settings, config)
