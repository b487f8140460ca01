"""A store that is away, denies or answers rubbish is one line of error wherever it is asked, and never a traceback."""

from collections.abc import Callable, Iterator

import pytest

from detector.bundles.loading import load_bundle
from detector.bundles.store import CURRENT, MANIFEST, Store
from detector.daemon.preflight import run_checks
from detector.daemon.swaps import load_current
from detector.errors import BundleError, StoreError
from detector.transports.package import Status
from schemas.config import Settings, WatchRule
from tests.support.failing_store import URL, EndpointConnectionError, FailingFileSystem, empty, failing, register
from tests.support.tiny_bundle import tiny

FAULTS = [
    EndpointConnectionError("Could not connect to the endpoint URL"),
    PermissionError("Access Denied"),
    TimeoutError(),
    OSError(5, "Input/output error"),
    KeyError("a backend's bug"),
]


@pytest.fixture
def store() -> Iterator[Store]:
    """A bucket with two versions, the second in use after the first."""
    register()
    empty()
    made = Store(URL)
    for version in ("v1", "v2"):
        tiny(version).publish(made)
        made.promote("pumps", version)
    yield made
    empty()


def settings() -> Settings:
    """A watch of the model over files, so that no broker is asked."""
    return Settings(store=URL, watch=(WatchRule(model="pumps"),), transport="files")


QUESTIONS: dict[str, Callable[[Store], object]] = {
    "models": lambda store: store.models(),
    "versions": lambda store: store.versions("pumps"),
    "pointer": lambda store: store.pointer("pumps"),
    "in use": lambda store: store.in_use("pumps"),
    "read": lambda store: store.read("pumps", "v1", MANIFEST),
    "load": lambda store: load_bundle(store, "pumps", "v1"),
    "publish": lambda store: tiny("v3").publish(store),
    "promote": lambda store: store.promote("pumps", "v1"),
    "rollback": lambda store: store.rollback("pumps"),
    "signature": lambda store: store.signature("pumps", "v1"),
    "decisions": lambda store: store.write_down("pumps", b"{}"),
    "start": lambda _: load_current(settings()),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_every_fault_of_every_question_is_a_line(store: Store, question: str, fault: Exception) -> None:
    """A StoreError (exit code 4) with the store and the exception's name; asked again, all is as it was."""
    with failing(fault), pytest.raises(StoreError) as raised:
        QUESTIONS[question](store)
    assert raised.value.exit_code == 4
    assert URL in str(raised.value)
    assert f"({type(fault).__name__}" in raised.value.problem
    pointer = store.pointer("pumps")
    assert pointer is not None
    assert (pointer.model_version, pointer.previous) == ("v2", "v1")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_check_says_it(store: Store, fault: Exception) -> None:
    """A FAIL with the model and the exception's name; the checks after it are made all the same."""
    with failing(fault):
        results = list(run_checks(settings(), 1.0))
    failed = next(result for result in results if result.subject == "model pumps")
    assert failed.status is Status.FAIL
    assert type(fault).__name__ in failed.message
    assert len(results) > 1


def test_a_fault_between_two_questions_does_not_lose_the_version_before(store: Store) -> None:
    """Promoting reads the pointer; where that fails, nothing is written over it."""
    asked = 0

    def fail_the_third() -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise EndpointConnectionError

    with failing(fail_the_third), pytest.raises(StoreError):
        store.promote("pumps", "v1")
    pointer = store.pointer("pumps")
    assert pointer is not None
    assert pointer.model_version == "v2"


@pytest.mark.parametrize("name", [f"pumps/{CURRENT}", f"pumps/v2/{MANIFEST}"])
def test_rubbish_is_a_bundle_error(store: Store, name: str) -> None:
    """A proxy's error page in place of the pointer or the manifest."""
    FailingFileSystem().pipe_file(f"/models/{name}", b"<html>503 Service Unavailable</html>")
    with pytest.raises(BundleError, match=r"cannot be read|is not valid"):
        load_current(settings())
