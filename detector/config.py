"""Reading the configuration: one YAML file, overridden by environment variables `WATCHKEEPER_SECTION__KEY`.

Unknown keys are errors that name the nearest known key; no value is ever printed, since it may be a secret.
"""

import difflib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from detector.errors import ConfigError, one_line
from schemas.config import Settings
from schemas.keys import keys, renamed_keys

PREFIX = "WATCHKEEPER_"
CONFIG_VARIABLE = "WATCHKEEPER_CONFIG"
_MOST_NODES = 100_000
# What PyYAML lets out for '2026-13-45', '!!int x' and their like.
_CONSTRUCTION = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@functools.cache
def warn(line: str) -> None:
    """A line for a person, once, on standard error: standard output may be read by a program."""
    print(f"watchkeeper: {line}", file=sys.stderr)


def load_settings(
    path: Path | None, environment: Mapping[str, str] = os.environ, *, warn: Callable[[str], None] = warn
) -> Settings:
    """The validated configuration. path: None takes the defaults (and the environment). Raises ConfigError.

    warn: gets a line for each key that is written under an old name; it is read all the same.
    """
    document = read_document(path)
    where = str(path) if path is not None else "the configuration"
    _overlay(document, environment)
    try:
        settings = Settings.model_validate(document, strict=False)
    except ValidationError as error:
        if error.errors()[0]["loc"] != ("version",):  # of a newer version we do not know the keys
            _check_keys(document, where)
        raise ConfigError(f"{where} is not valid", _first(error)) from None
    for key in renamed_keys(document, Settings):
        warn(one_line(f"{where}: {key.dotted} is called {key.today} now; the old name is still read"))
    return _with_secrets(settings)


def read_document(path: Path | None) -> dict[str, Any]:
    """The file's own keys and values, as they are written, without the environment's. Raises ConfigError."""
    return _read(path) if path is not None else {}


def _read(path: Path) -> dict[str, Any]:
    """The file's mapping; a section with nothing in it (`kafka:`) means its defaults."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}", "name one with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})", "check its rights and encoding") from None
    try:
        document = _parse(text, str(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path} is not YAML{line}", "check indentation and quotes there") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply", "a configuration needs four levels at most") from None
    except _CONSTRUCTION as error:
        problem = f"{path} has a value that is not what it looks like or is tagged as ({type(error).__name__})"
        raise ConfigError(problem, "quote what only looks like a date or a number") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path} does not hold a mapping", "start it with 'version: 1'")
    document = {key: value for key, value in document.items() if value is not None}
    if isinstance(document.get("kafka"), dict) and document["kafka"].get("sasl_password") is not None:
        raise ConfigError(
            f"{path} holds kafka.sasl_password, and a secret does not belong in a configuration",
            f"set {PREFIX}KAFKA__SASL_PASSWORD, or kafka.sasl_password_file",
        )
    return document


def _parse(text: str, where: str) -> Any:
    """A YAML document. Raises YAMLError, RecursionError or one of _CONSTRUCTION for what is not one."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _check_nodes(node, where, iter(range(_MOST_NODES)))
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _check_nodes(node: yaml.Node | None, where: str, left: Iterator[int]) -> None:
    """YAML lets the last of two equal keys win in silence; half a configuration would be lost.

    left: a bound on nodes, since a few lines of aliases of aliases stand for more of them than there is time.
    """
    if next(left, None) is None:
        raise ConfigError(f"{where} has more than {_MOST_NODES} entries", "write out what its aliases (*) repeat")
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _check_nodes(inner, where, left)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, inner in node.value:
        name = str(key.value)
        if name in seen:
            line = key.start_mark.line + 1
            raise ConfigError(f"{where} has the key {name} twice, again at line {line}", "keep one of them")
        seen.add(name)
        _check_nodes(inner, where, left)


def _overlay(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    """WATCHKEEPER_KAFKA__GROUP=x sets kafka.group; values are YAML, so lists and numbers work."""
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or name.startswith(PREFIX + "TEST_"):
            continue
        *parents, leaf = name[len(PREFIX) :].lower().split("__")
        value = _value(name, leaf, environment[name])
        given = _nested([*parents, leaf], value)
        _check_keys(given, name)
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{name} sets a key below {parent}, which is not a section", "unset the variable")
        for other in _same_key(given, parents, leaf, place):
            del place[other]
        place[leaf] = value


def _same_key(given: Any, parents: list[str], leaf: str, section: Mapping[str, Any]) -> list[str]:
    """The names under which a file's section has the key that a variable sets: that of today, and those of before."""
    key = next((key for key in keys(given, Settings) if (key.path, key.name) == (tuple(parents), leaf)), None)
    return [name for name in section if key is not None and key.contract.renamed.get(name, name) == key.today]


def _value(name: str, leaf: str, text: str) -> Any:
    try:
        return text if "password" in leaf else _parse(text, name)
    except (yaml.YAMLError, RecursionError, *_CONSTRUCTION):
        raise ConfigError(f"the value of {name} cannot be read", "quote it, or unset the variable") from None


def _nested(path: list[str], value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _check_keys(document: Any, where: str) -> None:
    """Finds the first unknown key, depth first, and names the nearest known one."""
    unknown = next((key for key in keys(document, Settings) if not key.is_known), None)
    if unknown is not None:
        remedy = _nearest(str(unknown.name), list(unknown.contract.model_fields), unknown.path)
        raise ConfigError(f"{where} has the unknown key {unknown.dotted}", remedy)


def _nearest(key: str, known: list[str], path: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"did you mean {_dotted(*path, close[0])}?"
    return f"known keys here: {', '.join(sorted(known))}"


def _dotted(*path: object) -> str:
    return ".".join(str(part) for part in path)


def _first(error: ValidationError) -> str:
    """The first fault as one line; the input is left out, it may be a secret."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{_dotted(*fault['loc']) or 'the file'}: {fault['msg'][:160]}"


def _with_secrets(settings: Settings) -> Settings:
    """Reads the password file, where one is named."""
    kafka = settings.kafka
    if kafka.sasl_password_file is None or kafka.sasl_password is not None:
        return settings
    path = kafka.sasl_password_file
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # a path with a zero byte is no OSError
        problem = f"kafka.sasl_password_file {path} cannot be read"
        raise ConfigError(problem, "check the path, its rights and its encoding") from None
    if not secret:
        raise ConfigError(f"kafka.sasl_password_file {path} is empty", "write the password into it")
    return settings.model_copy(update={"kafka": kafka.model_copy(update={"sasl_password": SecretStr(secret)})})
