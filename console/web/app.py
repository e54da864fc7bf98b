"""The application: pages, and the small API that they talk to."""

import getpass
import logging
import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Cookie, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from console import drawing, monitoring, tradeoff_chart
from console.answers import Choice
from console.aws import Aws
from console.champion import Champion
from console.decisions import Decisions, Filter
from console.desk import HOLD_S, UNDO_S, Desk, InvalidAnswer, NotHeld
from console.labels import Labels
from console.photos import SIZES, NoPicture, Photos
from console.queue import Queue
from console.tradeoff import TradeOff
from console.uploads import MOST_BYTES, BadUpload, Uploads
from console.web import views
from console.web.security import Guard, new_token
from console.web.tabs import AWAY_S, Tabs
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.photo import Photo

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_SHOWN = 60
_REVIEWER = re.compile(r"[\w .@'-]{1,40}")


class InTab(BaseModel):
    """What every request of the Review page says: which tab it is."""

    tab: str = Field(pattern="^[0-9a-f]{32}$")


class OnPhoto(InTab):
    """About one request in the reviewer's hands."""

    id: str


class Answer(OnPhoto):
    """An answer to it."""

    vehicle: str


class Reviewer(BaseModel):
    """A new name."""

    name: str


def create_app(
    resources: Deployed,
    aws: Aws,
    choices: Iterable[Choice],
    *,
    hosts: Iterable[str],
    undo_s: float = UNDO_S,
    hold_s: int = HOLD_S,
    away_s: float = AWAY_S,
) -> FastAPI:
    """The console of one stage. `hosts` are the addresses it answers to; the times are those of Desk and Tabs."""
    choices = tuple(choices)
    token = new_token()
    desk = Desk(resources, aws, choices, undo_s=undo_s, hold_s=hold_s)
    tabs = Tabs(desk, away_s)
    labels = Labels(resources.ml_bucket, aws.s3)
    queue = Queue(resources, aws, labels)
    photos = Photos(resources, aws)
    decisions = Decisions(resources, aws)
    uploads = Uploads(resources, aws, decisions)
    champion = Champion(resources, aws)
    templates = _templates()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        tabs.close()
        desk.close()

    app = FastAPI(title="Scones vehicles", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.add_middleware(Guard, hosts=tuple(hosts), token=token)

    def page(name: str, reviewer: str | None, **values: Any) -> HTMLResponse:
        html = templates.get_template(f"{name}.html").render(
            page=name,
            token=token,
            stage=resources.stage,
            reviewer=_name(reviewer),
            choices=choices,
            now=datetime.now(UTC),
            **values,
        )
        return HTMLResponse(html)

    def at_desk(tab: str, reviewer: str | None, *, ahead: int = 1) -> dict[str, Any]:
        """After a key the next photo counts, which is in the reviewer's hands already; the page asks for more then."""
        seat = tabs.seat(tab, _name(reviewer))
        return views.desk(seat, desk.look(seat, ahead=ahead), undo_s)

    def known_photo(photo_id: str) -> Photo | None:
        held = desk.held(photo_id)
        return held.photo if held else uploads.find(photo_id) or decisions.photo(photo_id)

    @app.exception_handler(ClientError)
    @app.exception_handler(BotoCoreError)
    def aws_refused(_: Request, error: Exception) -> JSONResponse:
        log.warning("AWS: %s", error)
        return JSONResponse({"detail": f"AWS did not answer as it should ({error_code(error)})."}, status_code=502)

    # Review

    @app.get("/")
    def review(reviewer: Annotated[str | None, Cookie()] = None) -> HTMLResponse:
        return page("review", reviewer, undo_s=undo_s)

    @app.post("/api/look")
    def look(body: InTab, reviewer: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
        return at_desk(body.tab, reviewer, ahead=2) | {"figures": views.figures(queue.figures())}

    @app.post("/api/answer")
    def answer(body: Answer, reviewer: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
        try:
            desk.answer(tabs.seat(body.tab, _name(reviewer)), body.id, body.vehicle)
        except NotHeld as error:
            raise HTTPException(409, str(error)) from error
        except InvalidAnswer as error:
            raise HTTPException(422, str(error)) from error
        return at_desk(body.tab, reviewer)

    @app.post("/api/skip")
    def skip(body: OnPhoto, reviewer: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
        try:
            desk.skip(tabs.seat(body.tab, _name(reviewer)), body.id)
        except NotHeld as error:
            raise HTTPException(409, str(error)) from error
        return at_desk(body.tab, reviewer)

    @app.post("/api/undo")
    def undo(body: InTab, reviewer: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
        undone = desk.undo(tabs.seat(body.tab, _name(reviewer)))
        return at_desk(body.tab, reviewer) | {"undone": undone is not None}

    @app.post("/api/leave")
    def leave(body: InTab) -> dict[str, bool]:
        tabs.leave(body.tab)
        return {"left": True}

    @app.post("/api/reviewer")
    def rename(body: Reviewer, response: Response) -> dict[str, str]:
        name = body.name.strip()
        if not _REVIEWER.fullmatch(name):
            raise HTTPException(422, "A name has up to 40 letters, digits, spaces, dots, dashes and apostrophes.")
        response.set_cookie("reviewer", quote(name), httponly=True, samesite="strict", max_age=365 * 86400)
        return {"reviewer": name}

    @app.get("/photos/{photo_id}")
    def photo(photo_id: str, size: Annotated[str, Query()] = "large") -> Response:
        found = known_photo(photo_id) if size in SIZES else None
        if found is None:
            raise HTTPException(404, "There is no such photo in this stage.")
        try:
            picture = photos.jpeg(found, size)
        except NoPicture as error:
            raise HTTPException(404, str(error)) from error
        # Never another picture under the same address: the id is made of the content's etag.
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600, immutable"})

    # Upload

    @app.get("/upload")
    def upload_page(reviewer: Annotated[str | None, Cookie()] = None) -> HTMLResponse:
        return page("upload", reviewer, most_mb=MOST_BYTES // 1024 // 1024)

    @app.post("/api/uploads")
    async def upload(request: Request, driver: str, name: str) -> dict[str, Any]:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > MOST_BYTES:
                raise HTTPException(413, "The file has more than 20 MB.")
        try:
            put = await run_in_threadpool(uploads.put, driver, name, bytes(content))
        except BadUpload as error:
            raise HTTPException(422, str(error)) from error
        return {"photo_id": put.photo_id, "name": name, "driver": driver}

    @app.get("/api/uploads/{photo_id}")
    def upload_progress(photo_id: str) -> dict[str, Any]:
        progress = uploads.progress(photo_id)
        if progress is None:
            raise HTTPException(404, "This photo was not uploaded from this console.")
        return views.progress(progress)

    # Drivers

    @app.get("/drivers")
    def drivers(
        reviewer: Annotated[str | None, Cookie()] = None,
        bay: str = "",
        decided_by: str = "",
        least: str = "",
        most: str = "",
    ) -> HTMLResponse:
        wanted = Filter(bay or None, decided_by or None, _share(least), _share(most))
        everything = decisions.all()
        shown = decisions.matching(wanted, _SHOWN)
        return page(
            "drivers",
            reviewer,
            decisions=[views.decision(one) for one in shown],
            total=sum(wanted.takes(one) for one in everything),
            everything=len(everything),
            bays=sorted({choice.bay for choice in choices if choice.vehicle != "unusable"}),
            wanted=wanted,
        )

    @app.get("/drivers/{photo_id}")
    def driver(photo_id: str, reviewer: Annotated[str | None, Cookie()] = None) -> HTMLResponse:
        entry = decisions.find(photo_id)
        if entry is None:
            raise HTTPException(404, "Nothing is known about this photo.")
        about = views.story(entry)
        return page(
            "driver",
            reviewer,
            about=about,
            steps=decisions.steps(entry["execution"]),
            lines=decisions.log_lines(photo_id, about["at"]),
        )

    # Model

    @app.get("/model")
    def model(reviewer: Annotated[str | None, Cookie()] = None) -> HTMLResponse:
        serving = champion.look()
        seen = monitoring.recent(decisions, labels)
        trade_off = TradeOff.of(serving.champion, serving.threshold)
        parts = monitoring.buckets(seen)
        return page(
            "model",
            reviewer,
            serving=serving,
            figures=views.model_figures(serving.champion),
            card=views.card(serving.champion),
            observed=seen,
            scatter=drawing.scatter(seen, serving.threshold) if seen else None,
            mix=drawing.class_mix(parts) if seen else None,
            rates=drawing.rates(parts) if seen else None,
            summary=views.summary(seen),
            drift=monitoring.drift(seen),
            days=monitoring.DAYS,
            trade_off=trade_off,
            charts=tradeoff_chart.charts(trade_off) if trade_off else [],
            chart_size=(tradeoff_chart.WIDTH, tradeoff_chart.HEIGHT),
            chart_frame=tradeoff_chart.FRAME,
            size=(drawing.WIDTH, drawing.HEIGHT),
            frame=(drawing.LEFT, drawing.TOP, drawing.WIDTH - drawing.RIGHT, drawing.HEIGHT - drawing.BOTTOM),
        )

    @app.get("/model/{name}/card.png")
    def card(name: str) -> Response:
        picture = champion.picture(name)
        if picture is None:
            raise HTTPException(404, "This model has no picture.")
        return Response(picture, media_type="image/png")

    # Dead letters

    @app.get("/dead-letters")
    def dead_letters(reviewer: Annotated[str | None, Cookie()] = None) -> HTMLResponse:
        return page("dead-letters", reviewer, letters=queue.dead_letters())

    @app.post("/api/redrive")
    def redrive() -> dict[str, int]:
        sent, stayed = queue.redrive()
        return {"sent": sent, "stayed": len(stayed)}

    @app.get("/favicon.ico")
    def favicon() -> Response:
        return Response((_HERE / "static/icon.svg").read_bytes(), media_type="image/svg+xml")

    @app.exception_handler(404)
    def missing(request: Request, error: Exception) -> Response:
        detail = getattr(error, "detail", "There is no such page.")
        if request.url.path.startswith(("/api/", "/photos/", "/static/")):
            return JSONResponse({"detail": detail}, status_code=404)
        shown = page("missing", request.cookies.get("reviewer"), detail=detail)
        shown.status_code = 404
        return shown

    return app


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(views.FILTERS)
    return environment


def _name(cookie: str | None) -> str:
    """The reviewer's name: their cookie's, else REVIEWER's, else that of whoever started the console."""
    for name in (unquote(cookie or ""), os.environ.get("REVIEWER", "")):
        if _REVIEWER.fullmatch(name):
            return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


def _share(text: str) -> float | None:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return None
