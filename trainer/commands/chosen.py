"""Which model a command of the trainer is about."""

from detector.errors import ConfigError
from schemas.config import Settings


def chosen_model(settings: Settings, name: str | None) -> str:
    """The model that is meant: the one named, or the only one there is."""
    used = list(dict.fromkeys([*settings.training, *(rule.model for rule in settings.watch)]))
    if name is not None:
        if name not in used:
            raise ConfigError(f"the configuration uses no model {name[:80]!r}", f"name one of: {', '.join(used)}")
        return name
    if len(used) > 1:
        raise ConfigError(f"the configuration uses {len(used)} models", f"choose with --model: {', '.join(used)}")
    return used[0]
