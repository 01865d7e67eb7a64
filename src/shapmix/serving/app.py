"""The application: a model behind a page and a JSON API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import FastAPI, Form, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

import shapmix
from shapmix.serving import schemas
from shapmix.serving.clips import Model, RefusedError, problems
from shapmix.serving.guard import Guard
from shapmix.serving.limits import Limits, ModelThreads
from shapmix.serving.page import content_security_policy, page_html
from shapmix.serving.service import Service

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1", "[::1]")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": schemas.Problem, "description": words}
    for code, words in (
        (400, "no JSON or no form"),
        (403, "sent by a page of another site"),
        (413, "too large"),
        (415, "another content type or kind of file"),
        (422, "not what is expected"),
        (503, "busy: try again"),
    )
}


def create_app(
    model: Model,
    *,
    name: str = "shapmix",
    host: str = "127.0.0.1",
    limits: Limits | None = None,
) -> FastAPI:
    """The application over one model.

    Args:
        model: a recogniser or an ensemble, on its device.
        name: of the model, shown to people.
        host: the address that it is bound to. On loopback, requests for other hosts are refused, so
            that no web page can reach it by a name that it made point here (DNS rebinding).
        limits: of a request.
    """
    limits = limits or Limits()
    threads = ModelThreads(limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        threads.close()

    app = FastAPI(
        title=name,
        description="Recognises actions in skeletons.",
        version=shapmix.__version__,
        docs_url=None,  # their pages come from a CDN; the description itself is there
        redoc_url=None,
        lifespan=lifespan,
    )
    service = Service(model, limits, name)
    _add_pages(app, service, threads)
    _add_calls(app, service, threads)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Guard, body_bytes=limits.body_bytes)
    if is_loopback(host):
        hosts = [*LOOPBACK_NAMES, host]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    return app


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _add_pages(app: FastAPI, service: Service, threads: ModelThreads) -> None:
    html = page_html(service.name)
    headers = {"Content-Security-Policy": content_security_policy(html)}

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    @app.get("/health")
    async def health() -> schemas.Health:
        """Whether the server runs."""
        return schemas.Health(status="ok", pending=threads.pending)

    @app.get("/model")
    async def description() -> schemas.ModelDescription:
        """The classes, and what the model expects."""
        return service.describe()


def _add_calls(app: FastAPI, service: Service, threads: ModelThreads) -> None:
    calls: list[tuple[str, Callable[[bytes], BaseModel], type[BaseModel], type[BaseModel]]] = [
        ("/predict", service.predict, schemas.PredictRequest, schemas.Predictions),
        ("/predict/batch", service.predict_batch, schemas.BatchRequest, schemas.BatchPredictions),
        ("/explain", service.explain, schemas.ExplainRequest, schemas.Explained),
    ]
    for path, job, asked, answer in calls:
        app.post(
            path,
            response_model=answer,
            responses=_PROBLEMS,
            summary=job.__doc__,
            openapi_extra=_json_request(asked),
        )(_json_call(job, threads))

    @app.post("/predict/file", response_model=schemas.FilePredictions, responses=_PROBLEMS)
    async def predict_file(
        file: UploadFile,
        top: Annotated[int, Form(ge=1, le=1000)] = 5,
        keypoints: Annotated[bool, Form(description="send the keypoints back")] = False,
    ) -> Response:
        """The clips of a file such as .npy, .json, .csv or .skeleton, not of a whole data set."""
        content = await file.read()
        name = file.filename or ""
        job = partial(service.predict_file, name, content, top, keypoints)
        return await _answer(threads, job)


def _json_call(
    job: Callable[[bytes], BaseModel], threads: ModelThreads
) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPException(415, f"the content type is {kind!r}; expected application/json")
        return await _answer(threads, partial(job, await request.body()))

    return call


async def _answer(threads: ModelThreads, job: Callable[[], BaseModel]) -> Response:
    """What a job finds, as JSON: all long work is done in the model's threads."""
    content = await threads.run(lambda: job().model_dump_json())
    return Response(content, media_type="application/json")


def _json_request(kind: type[BaseModel]) -> dict[str, Any]:
    """The request body in OpenAPI; the framework does not parse it."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": problems(error.errors())}, 422)
