"""`watchkeeper worker`: answers retrain requests."""

import signal

import structlog

from detector.commands.options import ConfigOption
from detector.commands.process import logged
from detector.daemon.logs import greet
from detector.transports.registry import transport_of
from trainer.parallel.threads import one_thread
from trainer.retraining.worker import run_worker


def worker(config: ConfigOption = None) -> None:
    """Answer retrain requests: train on the feed's recent normal history, judge the candidate, publish, announce.

    Waits for requests on the control topic (or file): from drift, a schedule (worker.schedule_s) or a person
    (`watchkeeper retrain`). The history is the last worker.history_s of the feed, without incidents unless a person
    marked them as false; the candidate must rebuild held-out recent data at least as well as the model in use. Then it
    is promoted and announced, and running daemons take it up; otherwise it is kept in the store, and the refusal says
    why. Each decision is appended to decisions.jsonl beside the model.

    Ctrl-C or SIGTERM stops it at any moment and leaves nothing half done.
    """
    with logged(config) as settings:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        where = transport_of(settings).locate(settings, settings.topics.control)
        greet(settings.logging, f"waiting for retrain requests on {where}; stop with Ctrl-C")
        try:
            with one_thread():  # what judges a candidate, too
                run_worker(settings)
        except KeyboardInterrupt:
            structlog.get_logger().info("stopped")  # nothing is half done
