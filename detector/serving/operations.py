"""What can be asked, each in one line: the form of the request, the answer, and who works it out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from detector.serving import bodies
from detector.serving.served_bundle import ServedBundle


@dataclass(frozen=True, slots=True)
class Operation:
    """One POST."""

    summary: str
    request: Callable[[bodies.Requests], type[BaseModel]]
    answer: type[BaseModel]
    run: Callable[[ServedBundle, Any], dict[str, Any]]


OPERATIONS = {
    "/encode": Operation("Windows to codes", lambda forms: forms.windows, bodies.EncodeResponse, ServedBundle.encode),
    "/decode": Operation(
        "Codes to windows in engineering units", lambda forms: forms.codes, bodies.DecodeResponse, ServedBundle.decode
    ),
    "/reconstruct": Operation(
        "Windows to what the model expected instead",
        lambda forms: forms.windows,
        bodies.ReconstructResponse,
        ServedBundle.reconstruct,
    ),
    "/anomaly_score": Operation(
        "Windows to the graph's own scores, each on its own, without memory",
        lambda forms: forms.windows,
        bodies.WindowScores,
        ServedBundle.score_windows,
    ),
    "/anomaly_score/rows": Operation(
        "Rows of one asset to the scores that the daemon would give: the bundle's whole chain, from an empty memory on",
        lambda forms: forms.rows,
        bodies.RowScores,
        ServedBundle.score_rows,
    ),
}
