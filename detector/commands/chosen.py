"""Which model a command is about."""

from detector.errors import ConfigError
from schemas.config import Settings


def chosen_model(settings: Settings, name: str | None) -> str:
    """The model that is meant, of those that are watched or trained: the one named, or the only one."""
    used = list(dict.fromkeys([*settings.training, *_watched(settings)]))
    if name is not None and name not in used:
        raise ConfigError(f"the configuration uses no model {name[:80]!r}", f"name one of: {', '.join(used)}")
    return name or _only(used)


def watched_model(settings: Settings, name: str | None) -> str:
    """The model that is meant, of those in the store: the one named, or the only one that is watched."""
    return name or _only(_watched(settings))


def _watched(settings: Settings) -> list[str]:
    return list(dict.fromkeys(rule.model for rule in settings.watch))


def _only(names: list[str]) -> str:
    if len(names) > 1:
        raise ConfigError(f"the configuration names {len(names)} models", f"name one of: {', '.join(names)}")
    return names[0]
