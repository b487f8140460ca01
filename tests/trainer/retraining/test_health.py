"""The worker says how it is: pages, figures, and a line now and then during a training."""

from pathlib import Path

import pytest

from detector.daemon.health import HttpServer
from schemas.config import WorkerHttp
from schemas.control import ModelRejected
from tests.detector.daemon.test_health import ask
from tests.trainer.retraining.test_worker import champion, feed, plant, request, settings
from trainer.parallel.progress import EpochEnded, FitBegan
from trainer.retraining.health import IDLE_STALLED_S, TRAINING_STALLED_S, WorkerHealth, WorkerMetrics
from trainer.retraining.worker import RetrainWorker


def test_the_pages_tell_of_a_decision(tmp_path: Path) -> None:
    """Ready once it looks for requests; a rejection counts under its name, and so does a request passed over."""
    config = settings(tmp_path, min_rows=5000)
    old = champion(config)
    feed(tmp_path, plant(500))
    health = WorkerHealth(WorkerMetrics(config))
    worker = RetrainWorker(config, health=health)
    server = HttpServer(WorkerHttp(port=0), health, health.metrics.registry)
    try:
        assert ask(server, "/readyz")[0] == 503
        worker.idle()
        assert ask(server, "/readyz")[0] == 200
        decision = worker.handle(request(old))
        assert decision is not None
        assert isinstance(decision.message, ModelRejected)
        worker.handle(request("another"))
        text = ask(server, "/metrics")[1]
        assert 'watchkeeper_worker_decisions_total{decision="model_rejected",model="m"} 1.0' in text
        assert 'watchkeeper_worker_decisions_total{decision="model_published",model="m"} 0.0' in text
        assert "watchkeeper_worker_passed_over_total 1.0" in text
        assert "watchkeeper_worker_training 0.0" in text
    finally:
        server.close()


def test_a_training_may_be_silent_for_longer_than_an_idle_worker(tmp_path: Path) -> None:
    """Two minutes without a word: an idle worker hangs, one in a training does not; in an hour that one does too."""
    health = WorkerHealth(WorkerMetrics(settings(tmp_path)))
    health.idle()
    health.advanced -= IDLE_STALLED_S + 60
    assert "nothing moves" in health.reasons
    health.begin()
    health.advanced -= IDLE_STALLED_S + 60
    assert "nothing moves" not in health.reasons
    health.advanced -= TRAINING_STALLED_S
    assert "nothing moves" in health.reasons


def test_progress_is_logged_now_and_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred epochs in a moment are one line and a hundred on the counter."""
    health = WorkerHealth(WorkerMetrics(settings(tmp_path)))
    health.on_progress(FitBegan("model", 100))
    for epoch in range(100):
        health.on_progress(EpochEnded("model", epoch, 0.5, 0.6))
    assert capsys.readouterr().out.count("progress") == 1
    assert health.metrics.epochs._value.get() == 100
