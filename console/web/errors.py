"""Exception handlers: the HTTP status of each error, and its text as a page for browsers and as JSON for scripts.

An AWS error becomes 502 Bad Gateway, an unknown page 404, an answer to a request that the session does not hold and a
correction of an answer that the reviewer did not give 409 Conflict, an unknown answer 422 Unprocessable Content, and an
error of the console itself 500.
"""

import logging

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from console.aws_errors import error_of_aws, explain
from console.corrections import NotCorrectable
from console.desk import InvalidAnswer
from console.session import NotLeased
from console.web.access import Access
from console.web.pages import NOT_PAGES, Pages
from console.web.security import HEADERS
from functions.shared.aws import error_code
from functions.shared.errors import RecordUnavailable

log = logging.getLogger(__name__)

_TITLES = {404: "Page not found"}


def add_exception_handlers(app: FastAPI) -> None:
    """Add the handlers to an application."""
    app.add_exception_handler(ClientError, _bad_gateway)
    app.add_exception_handler(BotoCoreError, _bad_gateway)
    app.add_exception_handler(RecordUnavailable, _bad_gateway)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(NotLeased, _conflict)
    app.add_exception_handler(NotCorrectable, _conflict)
    app.add_exception_handler(InvalidAnswer, _unprocessable)
    app.add_exception_handler(Exception, _internal_error)


def _bad_gateway(request: Request, error: Exception) -> Response:
    # Without the message, which can contain the key of a photo.
    cause = error_of_aws(error)
    log.warning("AWS: %s failed: %s", getattr(cause, "operation_name", "a request"), error_code(cause))
    return _response(request, 502, "AWS does not answer as expected", explain(error), retry=True)


def _conflict(request: Request, error: Exception) -> Response:
    return _response(request, 409, "Not yours", str(error))


def _unprocessable(request: Request, error: Exception) -> Response:
    return _response(request, 422, "Not an answer", str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _response(request, error.status_code, _TITLES.get(error.status_code, "Not possible"), error.detail)


def _internal_error(request: Request, error: Exception) -> Response:
    """Respond to an error of the console; the server prints its traceback in the terminal."""
    detail = "This is an error of the console itself. Its terminal, or its log in CloudWatch, shows the details."
    response = _response(request, 500, "The console failed", detail, retry=True)
    # This response does not pass the Guard.
    access: Access = request.app.state.access
    response.headers.update({**HEADERS, **access.headers})
    return response


def _response(request: Request, status: int, title: str, detail: str, *, retry: bool = False) -> Response:
    """Return an error as JSON for scripts and images, and as a page otherwise."""
    access: Access = request.app.state.access
    services = getattr(request.state, "services", None)
    if services is None or request.url.path.startswith(NOT_PAGES):
        return JSONResponse({"detail": detail}, status_code=status)
    reviewer = access.reviewer(services, request)
    pages: Pages = services.pages
    return pages.render("error", reviewer, status_code=status, title=title, detail=detail, retry=retry)
