"""The OpenAPI 3.1 document of a served bundle: https://spec.openapis.org/oas/v3.1.0."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from detector.serving import bodies
from detector.serving.operations import OPERATIONS, Operation
from detector.serving.served_bundle import ServedBundle

Document = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_FAULTS = (400, 408, 409, 413, 415, 422, 503)
_READ: dict[str, tuple[str, type[BaseModel]]] = {
    "/health": ("Whether the server answers", bodies.HealthResponse),
    "/model": ("What is served, and within which limits", bodies.ModelFacts),
}


def document(served: ServedBundle, version: str) -> Document:
    """The document. version: watchkeeper's own."""
    manifest = served.scorer.manifest
    paths: Document = {path: {"post": _post(path, operation, served)} for path, operation in OPERATIONS.items()}
    paths |= {path: {"get": _get(path, summary, model)} for path, (summary, model) in _READ.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"watchkeeper: {manifest.model} {manifest.model_version}",
            "version": version,
            "description": "A bundle over HTTP. No request changes anything.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": _schemas(served)},
    }


def _post(path: str, operation: Operation, served: ServedBundle) -> Document:
    return {
        "operationId": _identifier(path),
        "summary": operation.summary,
        "requestBody": {"required": True, "content": _json(operation.request(served.requests))},
        "responses": {
            "200": {"description": "the answer, one entry for each that was given", "content": _json(operation.answer)},
            **{str(status): _fault(status) for status in _FAULTS},
        },
    }


def _get(path: str, summary: str, model: type[BaseModel]) -> Document:
    answer = {"description": "the answer", "content": _json(model)}
    return {"operationId": _identifier(path), "summary": summary, "responses": {"200": answer}}


def _fault(status: int) -> Document:
    content = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model=bodies.Problem.__name__)}}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _json(model: type[BaseModel]) -> Document:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}}


def _identifier(path: str) -> str:
    return path.strip("/").replace("/", "_")


def _schemas(served: ServedBundle) -> Document:
    models: list[type[BaseModel]] = [operation.request(served.requests) for operation in OPERATIONS.values()]
    models += [operation.answer for operation in OPERATIONS.values()]
    models += [model for _, model in _READ.values()]
    models.append(bodies.Problem)
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    return found["$defs"]  # type: ignore[no-any-return]
