"""Retrain requests from drift: the same finding gives the same id, so that a replay asks once."""

import hashlib

from detector.core.alarms.alerts import utc
from detector.core.drift import Finding
from schemas.control import RetrainRequest, Trigger
from schemas.manifest import Manifest


def drift_request(manifest: Manifest, finding: Finding) -> RetrainRequest:
    """The control message for a finding."""
    text = f"{manifest.model}\x1f{manifest.model_version}\x1f{finding.at_s:.3f}"
    moved = ", ".join(f"{f.signal} by {f.z:+.1f} sd" for f in finding.figures[:3])
    return RetrainRequest(
        id=hashlib.sha256(text.encode()).hexdigest()[:20],
        model=manifest.model,
        model_version=manifest.model_version,
        trigger=Trigger.DRIFT,
        at=utc(finding.at_s),
        reason=f"drift on {finding.drifting} of {finding.judged} assets: {moved}",
        figures=finding.figures,
    )
