"""`watchkeeper models prune`: removes old versions from the store."""

import json
from typing import Annotated

import typer

from detector.bundles.loading import load_manifest
from detector.bundles.store import Store
from detector.commands.options import ConfigOption, JsonOption
from detector.config import load_settings
from detector.errors import BundleError


def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="Newest versions of each model that stay.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove old versions: all but the newest --keep of each model.

    The version in use stays, and so do the one to go back to and its parent, however old they are. Decisions stay too.
    """
    store = Store.of(load_settings(config))
    names = [model] if model is not None else store.models()
    doomed = [(name, version) for name in names for version in superfluous(store, name, keep)]
    for name, version in doomed:
        if not as_json:
            typer.echo(f"{'would remove' if dry_run else 'removing'} {name} {version}")
        if not dry_run:
            store.remove(name, version)
    if as_json:
        rows = [{"model": name, "version": version, "removed": not dry_run} for name, version in doomed]
        typer.echo(json.dumps(rows))
        return
    if not doomed:
        typer.echo(f"nothing to remove: no model has more than {keep} versions that could go")
    typer.echo(f"next: {'leave out --dry-run' if doomed and dry_run else 'watchkeeper models list'}")


def superfluous(store: Store, model: str, keep: int) -> list[str]:
    """Versions to remove, oldest first. Raises BundleError where what must stay cannot be told."""
    versions = store.versions(model)
    if not versions:
        raise BundleError(f"there is no model {model} in the store {store.url}", "run: watchkeeper models list")
    pointer = store.pointer(model)
    needed = set(versions[-keep:])
    if pointer is not None:
        parent = load_manifest(store, model, pointer.model_version)[0].parent_version
        needed |= {version for version in (pointer.model_version, pointer.previous, parent) if version}
    return [version for version in versions if version not in needed]
