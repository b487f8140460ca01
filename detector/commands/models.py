"""`watchkeeper models`: what the store holds, whether it is sound, and which version is in use."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from detector.bundles.loading import load_bundle, load_manifest
from detector.bundles.store import Store
from detector.commands.options import ConfigOption, JsonOption
from detector.commands.prune import prune
from detector.commands.signatures import keys, sign
from detector.commands.tables import print_table
from detector.config import load_settings
from detector.errors import BrokerError, BundleError
from detector.transports.control import send_control
from schemas.config import Settings
from schemas.control import ModelPublished
from schemas.manifest import Manifest, Pointer

app = typer.Typer(
    no_args_is_help=True, help="List, show, verify, sign, promote, roll back and prune models in the store."
)
app.command()(keys)
app.command()(sign)
app.command()(prune)

ModelArgument = Annotated[str, typer.Argument(help="Name of the model.")]
VersionArgument = Annotated[str | None, typer.Argument(help="The version; without one, the version in use.")]
AnnounceOption = Annotated[
    bool, typer.Option("--announce/--no-announce", help="Tell running daemons, so that they take the version up now.")
]


_HEAD = ("", "model", "version", "created", "family", "sensors", "window", "threshold", "signature")
_SIGNATURES = {
    "none": "none",
    "unchecked": "there is one, and trust.public_keys names no key to check it with",
    "untrusted": "by no key of trust.public_keys, or for another manifest",
}


@app.command("list")
def list_models(
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the versions of all models; '*' marks the version in use. Changes nothing.

    The signature is the fingerprint of the trusted key that made it, 'none', 'untrusted' (by no key of
    trust.public_keys), or 'unchecked' (no key is trusted, so any bundle is taken).
    """
    store = Store.of(load_settings(config))
    names = [model] if model is not None else store.models()
    rows = [_row(store, name, version) for name in names for version in store.versions(name)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        what = f"model {model}" if model is not None else "model"
        raise BundleError(f"there is no {what} in the store {store.url}", "run: watchkeeper train")
    sound, broken = [row for row in rows if not row["fault"]], [row for row in rows if row["fault"]]
    if sound:
        print_table([_cells(row) for row in sound], _HEAD)
    if broken:
        print_table([("!", row["model"], row["version"], row["fault"]) for row in broken])
    typer.echo("next: watchkeeper models show MODEL, or watchkeeper models verify")


@app.command()
def show(
    model: ModelArgument, version: VersionArgument = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show what a version was fitted on, how it is calibrated, and what it needs. Changes nothing."""
    store = Store.of(load_settings(config))
    manifest, digest = load_manifest(store, model, version or store.in_use(model))
    signature = store.signature(model, manifest.model_version)
    if as_json:
        added = {"manifest_sha256": digest, "signature": signature}
        typer.echo(json.dumps(manifest.model_dump(mode="json") | added))
        return
    print_table([*_facts(manifest, digest), ("signature", _SIGNATURES.get(signature, f"by key {signature}"))])
    typer.echo(f"next: watchkeeper models verify {model} {manifest.model_version}")


@app.command()
def verify(
    model: Annotated[str | None, typer.Argument(help="Only this model; without one, all.")] = None,
    version: Annotated[str | None, typer.Argument(help="Only this version; without one, all.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check hashes, load the graph and run the golden check, as the daemon does. Changes nothing.

    Ends with code 4 when any version is unsound.
    """
    store = Store.of(load_settings(config))
    names = [model] if model is not None else store.models()
    wanted = [(name, each) for name in names for each in ([version] if version else store.versions(name))]
    if not wanted:
        raise BundleError(f"there is nothing to verify in the store {store.url}", "run: watchkeeper models list")
    faults = {}
    for name, each in wanted:
        fault = faults[name, each] = _fault(store, name, each)
        if not as_json:
            typer.echo(f"{name} {each}: {fault or 'sound'}")
    if as_json:
        typer.echo(json.dumps([{"model": n, "version": v, "fault": fault} for (n, v), fault in faults.items()]))
    unsound = sum(fault is not None for fault in faults.values())
    if unsound:
        raise BundleError(
            f"{unsound} of {len(faults)} versions are unsound", "publish them again, or promote a sound one"
        )


@app.command()
def promote(
    model: ModelArgument,
    version: Annotated[str, typer.Argument(help="The version to use.")],
    announce: AnnounceOption = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a version into use: verify it, move the pointer, tell running daemons.

    Daemons verify it again and swap between two batches; nothing is left unscored. A daemon that refuses it keeps the
    version it has.
    """
    settings = load_settings(config)
    store = Store.of(settings)
    load_bundle(store, model, version)
    _use(settings, store, model, store.promote(model, version), announce=announce, as_json=as_json)


@app.command()
def rollback(
    model: ModelArgument, announce: AnnounceOption = True, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Go back to the version that was in use before: verify it, move the pointer, tell running daemons.

    A second rollback returns to where the first one started.
    """
    settings = load_settings(config)
    store = Store.of(settings)
    now = store.pointer(model)
    if now is not None and now.previous is not None:
        load_bundle(store, model, now.previous)
    _use(settings, store, model, store.rollback(model), announce=announce, as_json=as_json)


def _use(settings: Settings, store: Store, model: str, pointer: Pointer, *, announce: bool, as_json: bool) -> None:
    """Announces what the pointer says now."""
    version = pointer.model_version
    if announce:
        _announce(settings, store, model, version)
    if as_json:
        typer.echo(json.dumps({"model": model, **pointer.model_dump(mode="json"), "announced": announce}))
        return
    typer.echo(f"{model} is at {version} (before: {pointer.previous or 'nothing'})")
    effect = (
        f"daemons that follow {settings.topics.control} take it up now"
        if announce
        else "daemons see it within a minute"
    )
    typer.echo(f"next: {effect}; to undo: watchkeeper models rollback {model}")


def _announce(settings: Settings, store: Store, model: str, version: str) -> None:
    at = datetime.now(UTC)
    _, digest = load_manifest(store, model, version)
    message = ModelPublished(
        id=f"person-{model}-{version}-{int(at.timestamp())}",
        model=model,
        model_version=version,
        manifest_sha256=digest,
        at=at,
    )
    try:
        send_control(settings, message)
    except BrokerError as error:
        raise BrokerError(
            f"{model} is at {version} in the store, but running daemons could not be told ({error.problem})",
            f"run it again when the broker is back: watchkeeper models promote {model} {version}",
        ) from None


def _fault(store: Store, model: str, version: str) -> str | None:
    try:
        load_bundle(store, model, version)
    except BundleError as error:
        return error.problem
    return None


def _row(store: Store, model: str, version: str) -> dict[str, Any]:
    """One version in figures; a manifest that cannot be read is listed with its fault."""
    try:
        manifest, digest = load_manifest(store, model, version)
        pointer = store.pointer(model)
        signature = store.signature(model, version)
    except BundleError as error:
        return {"model": model, "version": version, "in_use": False, "fault": error.problem}
    return {
        "model": model,
        "version": version,
        "in_use": pointer is not None and pointer.model_version == version,
        "parent": manifest.parent_version,
        "created": manifest.created.isoformat(),
        "family": manifest.family,
        "sensors": [sensor.name for sensor in manifest.sensors],
        "window": manifest.window,
        "threshold": manifest.calibration.threshold,
        "metrics": manifest.metrics,
        "manifest_sha256": digest,
        "signature": signature,
        "fault": None,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        "*" if row["in_use"] else "",
        row["model"],
        row["version"],
        row["created"][:16].replace("T", " "),
        row["family"],
        str(len(row["sensors"])),
        str(row["window"]),
        f"{row['threshold']:.4g}",
        row["signature"],
    ]


def _facts(manifest: Manifest, digest: str) -> list[tuple[str, str]]:
    calibration, training, timing = manifest.calibration, manifest.training, manifest.timing
    sensors = ", ".join(f"{s.name} ({s.unit})" if s.unit else s.name for s in manifest.sensors)
    return [
        ("model", f"{manifest.model} {manifest.model_version} (parent: {manifest.parent_version or 'none'})"),
        ("created", f"{manifest.created:%Y-%m-%d %H:%M}Z"),
        ("family", f"{manifest.family}, window {manifest.window} rows, stride {manifest.stride}"),
        ("sensors", sensors),
        ("rows", f"every {manifest.period_s:g} s; a gap over {manifest.max_gap_s:g} s begins the window anew"),
        ("threshold", f"{calibration.threshold:.6g} by {calibration.method} of {calibration.windows} held-out windows"),
        ("alarm", f"opens after {timing.on_delay_s:g} s, closes after {timing.off_delay_s:g} s below "
                  f"{calibration.lower_threshold:.6g}"),
        ("trained on", f"{training.rows} rows of {len(training.assets)} assets, {training.start:%Y-%m-%d} to "
                       f"{training.end:%Y-%m-%d}, {training.source}"),
        ("metrics", ", ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()) or "none"),
        ("libraries", ", ".join(f"{name} {value}" for name, value in manifest.libraries.items())),
        ("manifest", f"SHA-256 {digest}"),
    ]  # fmt: skip
