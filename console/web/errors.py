"""Exception handlers: the HTTP status of each error.

An AWS error becomes 502 Bad Gateway, an unknown page an HTML page with status 404, an answer to a request that the
session does not hold 409 Conflict, and an unknown answer 422 Unprocessable Content.
"""

import logging

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from console.desk import InvalidAnswer
from console.session import NotLeased
from console.web.services import Services, reviewer_name
from functions.shared.aws import error_code
from functions.shared.errors import RecordUnavailable

log = logging.getLogger(__name__)

_NOT_PAGES = ("/api/", "/photos/", "/static/")


def add_exception_handlers(app: FastAPI) -> None:
    """Add the handlers to an application."""
    app.add_exception_handler(ClientError, _bad_gateway)
    app.add_exception_handler(BotoCoreError, _bad_gateway)
    app.add_exception_handler(RecordUnavailable, _record_unavailable)
    app.add_exception_handler(404, _not_found)
    app.add_exception_handler(NotLeased, _conflict)
    app.add_exception_handler(InvalidAnswer, _unprocessable)


def _bad_gateway(_: Request, error: Exception) -> JSONResponse:
    log.warning("AWS: %s", error)
    return JSONResponse({"detail": f"AWS returned an error ({error_code(error)})."}, status_code=502)


def _record_unavailable(request: Request, error: Exception) -> JSONResponse:
    cause = error.__cause__  # the error of DynamoDB
    return _bad_gateway(request, cause if isinstance(cause, Exception) else error)


def _conflict(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=409)


def _unprocessable(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=422)


def _not_found(request: Request, error: Exception) -> Response:
    detail = getattr(error, "detail", "Not Found")
    if request.url.path.startswith(_NOT_PAGES):
        return JSONResponse({"detail": detail}, status_code=404)
    services: Services = request.app.state.services
    reviewer = reviewer_name(request.cookies.get("reviewer"))
    return services.pages.render("page-not-found", reviewer, status_code=404, detail=detail)
