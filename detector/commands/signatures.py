"""`watchkeeper models keys` and `watchkeeper models sign`: a pair of keys, and a signature for what is in the store."""

import os
from pathlib import Path
from typing import Annotated

import typer

from detector.bundles import signing
from detector.bundles.loading import load_bundle, load_manifest
from detector.bundles.store import Store
from detector.commands.options import ConfigOption
from detector.config import load_settings
from detector.errors import ConfigError


def keys(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pair; made where it is not there.")],
    name: Annotated[str, typer.Option("--name", help="Name of the two files.")] = "bundles",
) -> None:
    """Make a pair of Ed25519 keys: NAME.key signs (mode 0600), NAME.pub is for everybody who checks (0644).

    Overwrites nothing. To change keys: add the new public key to trust.public_keys of every daemon and restart it,
    sign with the new key, and take the old public key away when no version in use needs it.
    """
    private, public = signing.make_keys()
    files = {out / f"{name}.key": (private, 0o600), out / f"{name}.pub": (public, 0o644)}
    for path, (data, mode) in files.items():
        try:
            out.mkdir(mode=0o755, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
        except FileExistsError:
            raise ConfigError(
                f"{path} is there already", "give another --out or --name; keys are not replaced"
            ) from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror})", "give another --out") from None
    secret, open_to_all = files
    typer.echo(
        f"made {secret} (keep it from the daemon) and {open_to_all}, fingerprint {signing.fingerprint(open_to_all)}"
    )
    typer.echo(f"next: trust.signing_key: {secret} for trainer and worker; trust.public_keys: [{open_to_all}] for all")


def sign(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[str, typer.Argument(help="The version to vouch for.")],
    config: ConfigOption = None,
) -> None:
    """Sign a version that is in the store with trust.signing_key, in place of an older signature.

    It is verified first as the daemon would, but for its signature: what is signed is what was checked. Who trained it
    is yours to know.
    """
    settings = load_settings(config)
    store = Store.of(settings)
    _, digest = load_manifest(store, model, version)
    load_bundle(Store(settings.store), model, version, digest)
    store.sign(model, version, digest)
    typer.echo(f"{model} {version} is signed (signature: {store.signature(model, version)})")
    typer.echo(f"next: watchkeeper models promote {model} {version}")
