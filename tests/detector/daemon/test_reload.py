"""A reload takes a key up as a restart would, or is refused with the key's name; no key is ignored."""

import itertools
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from detector.bundles.loading import load_bundle
from detector.bundles.store import Store
from detector.daemon.health import Health
from detector.daemon.loop import Loop
from detector.daemon.metrics import Metrics
from detector.daemon.reload import demand_reloadable, reload
from detector.errors import ConfigError
from schemas.base import Contract
from schemas.config import Settings
from schemas.manifest import DriftReference, ReferenceSignal
from schemas.reload import Reload, reload_of
from tests.detector.daemon.test_loop import FakeTransport, line
from tests.support.tiny_bundle import tiny

NEEDED = {"kafka.sasl_mechanism": {"kafka": {"sasl_username": "x"}}}  # what has to be there for a value to be valid
VALUES = (int, float, str, bytes, Enum, Contract, Path, type(None))
OTHER = ("x", 7, 0.5, 3.5, False, True, ["x"], 70_000, *"abcdefgh", "feed", "all", "kafka", "PLAIN", "debug", "json")


def leaves(model: type[Contract], prefix: str = "", section: Reload = Reload.RESTART) -> Iterator[tuple[str, Reload]]:
    """Every key of the configuration, dotted, with what its field says of a reload."""
    for name, field in model.model_fields.items():
        inner, mark = section_in(field.annotation), reload_of(field, section)
        if inner is None:
            yield f"{prefix}{name}", mark
        else:
            yield from leaves(inner, f"{prefix}{name}.", mark)


def section_in(annotation: Any) -> type[Contract] | None:
    """X, X | None, or a tuple of X; a mapping by names of one's own is a leaf here."""
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        return annotation
    if typing.get_origin(annotation) in (tuple, typing.Union, types.UnionType):
        return next(filter(None, map(section_in, typing.get_args(annotation))), None)
    return None


LEAVES = dict(leaves(Settings))
TAKEN = [key for key, mark in LEAVES.items() if mark is Reload.TAKEN]
FIXED = [key for key, mark in LEAVES.items() if mark is Reload.RESTART and key != "version"]
ELSEWHERE = [key for key, mark in LEAVES.items() if mark is Reload.ELSEWHERE]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with one version in use, whose drift is watched: else no change of that would be seen."""
    made = Store(str(tmp_path_factory.mktemp("reload") / "models"))
    plain = tiny("v1")
    drift = DriftReference(block_rows=10, signals=(ReferenceSignal(name="flow", mean=10.0, block_sd=0.1),))
    replace(plain, manifest=plain.manifest.model_copy(update={"drift": drift})).publish(made)
    made.promote("pumps", "v1")
    return made


@pytest.fixture
def base(store: Store) -> dict[str, Any]:
    """A configuration as a file holds it."""
    return {"store": store.url, "watch": [{"model": "pumps"}]}


def changed(base: Mapping[str, Any], key: str) -> Settings:
    """The configuration with another value of one key, whatever its type."""
    old = Settings.model_validate(base)
    for value in (*values_of(key), *OTHER):
        document = yaml.safe_load(yaml.safe_dump(dict(base)))
        for also, given in NEEDED.get(key, {}).items():
            document[also] = dict(given)
        put(document, key.split("."), value)
        try:
            new = Settings.model_validate(document)
        except ValidationError:
            continue
        if at(new, key) != at(old, key):
            return new
    raise AssertionError(f"no other value of {key} is valid: add one to OTHER")


def values_of(key: str) -> list[Any]:
    """What a Literal or an enumeration may be."""
    model: type[Contract] = Settings
    *sections, leaf = key.split(".")
    for section in sections:
        inner = section_in(model.model_fields[section].annotation)
        assert inner is not None
        model = inner
    annotation = model.model_fields[leaf].annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [each.value for each in annotation]
    choices = [annotation, *typing.get_args(annotation)]
    return list(
        itertools.chain(*(typing.get_args(each) for each in choices if typing.get_origin(each) is typing.Literal))
    )


def put(document: Any, path: list[str], value: Any) -> None:
    *sections, leaf = path
    for section in sections:
        document = document[section][0] if section == "watch" else document.setdefault(section, {})
    document[leaf] = (
        {"pumps": {}} if leaf == "training" else {"window": {"low": 3, "high": 5}} if leaf == "tuning" else value
    )


def at(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings[0] if isinstance(settings, tuple) else settings, name)
    return settings


def running(settings: Settings, store: Store, transport: FakeTransport | None = None) -> Loop:
    scorers = {"pumps": load_bundle(store, "pumps", "v1")}
    return Loop(settings, transport or FakeTransport([]), scorers, Metrics(), Health(), clock=lambda: 1e9)


def test_the_lists_are_not_empty() -> None:
    """A walk that finds nothing would prove nothing."""
    assert (len(TAKEN) > 20, len(FIXED) > 40, len(ELSEWHERE) > 10) == (True, True, True)


@pytest.mark.parametrize("key", TAKEN)
def test_a_key_that_is_taken_is_as_after_a_restart(base: dict[str, Any], store: Store, key: str) -> None:
    """Every object that the loop holds is what a daemon that started with the new configuration holds."""
    old, new = Settings.model_validate(base), changed(base, key)
    demand_reloadable(old, new)
    over, fresh = running(old, store), running(new, store)
    assert over.settings != fresh.settings
    over.configure(new)
    assert dict(held(parts(over), "loop")) == dict(held(parts(fresh), "loop"))


@pytest.mark.parametrize("key", FIXED)
def test_a_key_that_needs_a_restart_is_refused_by_its_name(base: dict[str, Any], key: str) -> None:
    """Also where another key, which would be taken, changed with it."""
    document = Settings.model_validate(base)
    new = changed(base, key)
    also = new.model_copy(update={"limits": new.limits.model_copy(update={"drain_s": 77.0})})
    for given in (new, also):
        with pytest.raises(ConfigError) as caught:
            demand_reloadable(document, given)
        named = caught.value.problem.removeprefix("a running daemon cannot change ").replace("[]", "").split(", ")
        assert key in named
        assert "limits.drain_s" not in named
        assert caught.value.remedy.startswith("restart it")


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_key_of_another_process_is_passed_over(base: dict[str, Any], store: Store, key: str) -> None:
    """A file that daemon, worker and server share may be reloaded whatever changed for the others."""
    old, new = Settings.model_validate(base), changed(base, key)
    demand_reloadable(old, new)
    over = running(old, store)
    over.configure(new)
    assert at(over.settings, key) == at(new, key)


def test_rules_may_move_and_split_while_the_models_stay(base: dict[str, Any]) -> None:
    """The order and number of rules is taken; another set of models is not."""
    rules = [{"model": "pumps", "assets": ["p-*"]}, {"model": "pumps", "assets": ["*"]}]
    old, new = Settings.model_validate(base), Settings.model_validate(base | {"watch": rules})
    demand_reloadable(old, new)
    demand_reloadable(new, old)
    with pytest.raises(ConfigError, match=r"cannot change watch\[\]\.model:"):
        demand_reloadable(old, Settings.model_validate(base | {"watch": [*rules, {"model": "fans"}]}))


def test_a_reload_from_a_file_is_taken_or_refused_whole(base: dict[str, Any], store: Store, tmp_path: Path) -> None:
    """The running settings are the old ones after a refusal, counted and with the key in the log."""
    path = tmp_path / "watchkeeper.yaml"
    over = running(Settings.model_validate(base), store, FakeTransport([[line(0)]]))
    path.write_text(yaml.safe_dump(base | {"alarms": {"on_delay_s": 9}}))
    reload(over, path, over.metrics)
    assert over.settings.alarms.on_delay_s == 9
    path.write_text(yaml.safe_dump(base | {"alarms": {"on_delay_s": 3}, "limits": {"outstanding_sends": 9}}))
    reload(over, path, over.metrics)
    path.write_text("alarms: {on_delay: 3}\n")
    reload(over, path, over.metrics)
    assert over.settings.alarms.on_delay_s == 9
    counted = {result: over.metrics.reloads.labels(result)._value.get() for result in ("taken", "refused")}
    assert counted == {"taken": 1, "refused": 2}
    assert over.tick()


def parts(over: Loop) -> dict[str, Any]:
    """What a loop decides by: everything but the outside, its reports, and times of this process."""
    left_out = {"metrics", "health", "_transport", "_clock", "_scorers", "_swaps", "_report"}
    found = {name: value for name, value in vars(over).items() if name not in left_out}
    del found["_checkpoint"]._last
    return found


def held(thing: Any, path: str) -> Iterator[tuple[str, str]]:
    """Everything in a tree of objects, flat: where it is and what it is."""
    if isinstance(thing, Mapping):
        for key, inner in thing.items():
            yield from held(inner, f"{path}[{key!r}]")
    elif isinstance(thing, list | tuple):
        for number, inner in enumerate(thing):
            yield from held(inner, f"{path}[{number}]")
    elif isinstance(thing, np.ndarray):
        yield path, repr(thing.tolist())
    elif type(thing).__module__.startswith("detector.") and not isinstance(thing, Enum):
        for name, inner in attributes(thing).items():
            yield from held(inner, f"{path}.{name}")
    else:
        yield path, repr(thing) if isinstance(thing, VALUES) else type(thing).__name__


def attributes(thing: Any) -> dict[str, Any]:
    """An object's attributes, with and without slots; of a bundle in use only which one it is."""
    if hasattr(thing, "manifest") and hasattr(thing, "score"):
        return {"version": thing.manifest.model_version}
    slots = itertools.chain(*(getattr(kind, "__slots__", ()) for kind in type(thing).__mro__))
    return getattr(thing, "__dict__", {}) | {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
