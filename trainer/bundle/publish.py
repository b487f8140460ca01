"""A fitted model into the store: graph, golden file and manifest in one step, the report beside them."""

from detector.bundles.store import Store
from trainer.bundle.report import write_report
from trainer.bundle.result import Fitted

REPORT = "report.html"


def publish(store: Store, fitted: Fitted, promote: bool | None) -> tuple[str, bool]:
    """Publishes; gives the path and whether the version is in use now.

    promote: None puts a model's first version into use and leaves later ones to a person or a worker.
    """
    manifest = fitted.manifest
    path = store.publish(manifest, fitted.files, {REPORT: write_report(fitted)})
    wanted = store.pointer(manifest.model) is None if promote is None else promote
    if wanted:
        store.promote(manifest.model, manifest.model_version)
    return path, wanted
