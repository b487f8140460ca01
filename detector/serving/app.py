"""The HTTP side: routes, limits, and every fault as one line of `application/problem+json` (RFC 9457)."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from pydantic import BaseModel, RootModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from detector.errors import one_line
from detector.serving import bodies
from detector.serving.openapi import document
from detector.serving.operations import OPERATIONS
from detector.serving.served_bundle import RequestRejected, ServedBundle

JSON = "application/json"
PROBLEM = "application/problem+json"
_LONGEST = 300  # signs of a detail; it may hold a client's words


def make_app(served: ServedBundle, version: str) -> Starlette:
    """The application. version: watchkeeper's own, for the document."""
    described = msgspec.json.encode(document(served, version))
    facts = served.facts().model_dump_json().encode()
    health = (
        bodies.HealthResponse(model=served.scorer.manifest.model, model_version=served.version)
        .model_dump_json()
        .encode()
    )
    limits = RequestLimits(served)
    routes = [Route(name, limits.endpoint(served, name), methods=["POST"]) for name in OPERATIONS]
    for path, body in (("/openapi.json", described), ("/health", health), ("/model", facts)):
        routes.append(Route(path, _fixed(body), methods=["GET"]))
    handlers: Any = {HTTPException: _on_http, Exception: _on_bug}
    return Starlette(routes=routes, exception_handlers=handlers)


class RequestLimits:
    """Holds requests to the section `serve`: how many at once, how many bytes each, how long a body may take."""

    def __init__(self, served: ServedBundle) -> None:
        self._limits = served.settings.serve
        self._busy = 0

    def endpoint(self, served: ServedBundle, path: str) -> Callable[[Request], Any]:
        """The endpoint of one operation."""
        operation = OPERATIONS[path]
        model = operation.request(served.requests)

        def work(body: bytes) -> bytes:
            request = _checked(model, body)
            return msgspec.json.encode({"model_version": served.version, **operation.run(served, request)})

        async def answer(request: Request) -> Response:
            if self._busy >= self._limits.max_requests:
                raise HTTPException(
                    503, "serve.max_requests requests are being worked on already", {"Retry-After": "1"}
                )
            self._busy += 1
            try:
                body = await self._body(request)
                return Response(await run_in_threadpool(work, body), media_type=JSON)
            except RequestRejected as error:
                raise HTTPException(error.status, error.detail) from None
            finally:
                self._busy -= 1

        return answer

    async def _body(self, request: Request) -> bytes:
        """The body, read no further than it may be long."""
        # A page in a browser cannot send this type to another origin without asking first.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise HTTPException(415, f"the body's content type is not {JSON}")
        most, parts, size = self._limits.max_body_bytes, [], 0
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise HTTPException(413, f"the body is longer than {most} bytes (serve.max_body_bytes)")
                    parts.append(part)
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time (serve.body_timeout_s)") from None
        except ClientDisconnect:
            raise HTTPException(400, "the body ended too early") from None
        return b"".join(parts)


def _checked(model: type[BaseModel], body: bytes) -> Any:
    """The request. Raises RequestRejected with the first fault; what was sent is never repeated."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if fault["type"] == "json_invalid":
            raise RequestRejected(400, "the body is not JSON") from None
        tags = 1 if issubclass(model, RootModel) else 0  # which of the forms it was taken for
        place = ".".join(str(part) for part in fault["loc"][tags:]) or "the body"
        raise RequestRejected(422, f"{place}: {fault['msg']}") from None


def _fixed(body: bytes) -> Callable[[Request], Any]:
    async def endpoint(_request: Request) -> Response:
        return Response(body, media_type=JSON)

    return endpoint


async def _on_http(_request: Request, error: HTTPException) -> Response:
    if error.detail == HTTPStatus(error.status_code).phrase:  # the router's own
        error.detail = "there is no such path; /openapi.json lists them"
    return _problem(error.status_code, error.detail, dict(error.headers or {}))


async def _on_bug(request: Request, error: Exception) -> Response:
    """A bug of ours: the log says what, the client learns only that."""
    structlog.get_logger().error("request failed", path=request.url.path, reason=type(error).__name__)
    return _problem(500, "the server could not answer; its log says more", {})


def _problem(status: int, detail: str, headers: dict[str, str]) -> Response:
    problem = bodies.Problem(title=HTTPStatus(status).phrase, status=status, detail=one_line(detail)[:_LONGEST])
    return Response(problem.model_dump_json(), status, headers, PROBLEM)
