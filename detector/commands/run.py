"""`watchkeeper run`: the daemon."""

from detector.commands.options import ConfigOption
from detector.commands.process import logged
from detector.daemon.lifecycle import run_daemon
from detector.daemon.logs import greet
from detector.transports.registry import transport_of


def run(config: ConfigOption = None) -> None:
    """Watch a feed: score its records, open and close alarms, notice drift, take up new models.

    Reads records from Kafka (or JSON lines: transport: files), scores them with the current model of each watch rule
    and sends alerts to their topic. Offsets are committed after everything they gave was delivered.

    Signals: SIGTERM or Ctrl-C drains and stops (a second one stops at once); SIGHUP reads the configuration again;
    SIGUSR1 writes every thread's stack to the log, and so does SIGABRT before it ends the process.
    HTTP on http.host:http.port: /metrics, /healthz, /readyz.

    Exit codes: 0 ended as asked, 2 configuration, 3 data, 4 bundle, 5 broker, 6 too much bad input, or a file of
    which nothing was scored, 7 its loop stood still.
    """
    with logged(config) as settings:
        where = transport_of(settings).locate(settings, settings.topics.input)
        greet(settings.logging, f"watching {where}; alerts go to {settings.topics.alerts}; stop with Ctrl-C")
        run_daemon(settings, config)
