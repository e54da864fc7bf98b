"""How long each page of the console takes with many photos in the record, over HTTP on the loopback interface."""

import html
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from socket import socket
from typing import Any

import httpx
import uvicorn

from benchmarks.console_stage import PHOTOS, FilledStage, filled_stage
from console.answers import choices
from console.aws import Aws
from console.champion import ChampionReader
from console.identity import find_reviewer
from console.now_reader import FRESH_S
from console.photo_finder import PAGE
from console.queue import Queue
from console.reviews import Reviews
from console.web.access import LocalAccess
from console.web.app import create_app
from console.web.logins import Logins
from console.web.security import TOKEN_HEADER
from console.web.services import Services
from deploy.outputs import Deployed
from operate.errors import CommandError
from operate.latency import Latency

ROUNDS = 7
HOST = "127.0.0.1"
TAKE = "/api/take"
_OLDER = re.compile(r'id="older" rel="next" href="([^"]+)"')
FILTERS = {
    "status": "status=in_review",
    "timed out": "status=timed_out",
    "days": "since={day}&until={day}",
    "reason": "reason=UnreadablePhoto",
    "vehicle": "vehicle=bicycle",
    "model": "model={model}",
    "another model": "model=none",
    "decider": "by=fallback",
    "bay": "bay=Bay+B",
    "confidence": "least=0.5&most=0.55",
    "disagreement": "disagree=yes",
    "driver": "q=driver-17",
    "file": "q=bike-9876",
    "photo id": "q={photo}",
}
"""The filters of the Photos page, as the query of its address."""


def measure(deployed: Deployed, photos: int = PHOTOS) -> dict[str, Any]:
    """Return the latency of each page in milliseconds, by name, with `photos` photos in the record.

    A page is requested once in each round, after one that is not measured. Rounds are more than FRESH_S apart, so that
    each reads AWS again as for a person who looks at one page after another. `searches` are the seconds until the
    Photos page of a filter is full or has no older photos: its script requests the parts of a search one by one.
    """
    aws = Aws()
    champion = ChampionReader(deployed, aws).read(history=False).champion
    model_version = champion.version if champion else "no-model"
    with filled_stage(deployed, model_version, photos) as stage, _client(stage, aws) as client:
        addresses = page_addresses(stage, aws, model_version)
        durations: dict[str, list[float]] = {name: [] for name in addresses}
        for number in range(ROUNDS + 1):
            started = time.monotonic()
            for name, address in addresses.items():
                duration_ms = _request(client, name, address)
                if number:
                    durations[name].append(duration_ms)
            if number < ROUNDS:
                time.sleep(max(0.0, started + FRESH_S + 1 - time.monotonic()))
        searches = {
            name: round(_search(client, address), 2) for name, address in addresses.items() if "/photos?" in address
        }
    measured = {name: asdict(Latency.of(found)) for name, found in durations.items()}
    return {"photos": photos, "pages": measured, "searches": searches}


def page_addresses(stage: FilledStage, aws: Aws, model_version: str) -> dict[str, str]:
    """Return the addresses of the pages by name; that of a retraining only when the stage has had one."""
    given = {"day": stage.day, "model": model_version, "photo": stage.photo_id}
    filters = {f"photos, {name}": f"/photos?{query.format(**given)}" for name, query in FILTERS.items()}
    found = {
        "now": "/now",
        "review": "/",
        "next photo": TAKE,
        "photos": "/photos",
        **filters,
        "one photo": f"/photos/{stage.photo_id}",
        "failed requests": "/dead-letters",
        "model": "/model",
        "model, threshold": "/model?threshold=0.95",
        "upload": "/upload",
        "teams": "/teams",
        "teams, HTTP APIs": "/teams/api",
    }
    runs = aws.stepfunctions.list_executions(stateMachineArn=stage.deployed.retrain_model_arn, maxResults=1)
    for run in runs["executions"]:
        found["retraining"] = f"/model/runs/{run['name']}"
    return found


def _request(client: httpx.Client, name: str, address: str) -> float:
    """Request a page; return the milliseconds to the end of its response. Raises CommandError when it is no page."""
    started = time.perf_counter()
    response = client.post(address, json={"tab": "0" * 32}) if address == TAKE else client.get(address)
    duration_ms = (time.perf_counter() - started) * 1000
    if response.status_code != httpx.codes.OK:
        raise CommandError(f"The page {name} of the console answered {response.status_code}.")
    return duration_ms


def _search(client: httpx.Client, address: str) -> float:
    """Return the seconds until a page of a search is full, in as many requests as the script of the page makes."""
    started = time.perf_counter()
    shown, after = 0, address
    while True:
        page = client.get(after).raise_for_status().text
        shown += page.count('class="card"')
        older = _OLDER.search(page)
        if older is None or 'data-searching="yes"' not in page or shown >= PAGE:
            return time.perf_counter() - started
        after = f"{html.unescape(older[1])}&size={PAGE - shown}"


@contextmanager
def _client(stage: FilledStage, aws: Aws) -> Iterator[httpx.Client]:
    """Serve the console of a stage; yield a client that is signed in."""
    with closing(socket()) as listening:
        listening.bind((HOST, 0))
        address = f"http://{HOST}:{listening.getsockname()[1]}"
        logins = Logins(address, announce=lambda _line: None)
        services = Services.of(stage.deployed, aws, choices(), find_reviewer(aws.sts, "bench"))
        reviews = Reviews(stage.label_bucket, aws.s3)
        services = replace(services, reviews=reviews, queue=Queue(stage.deployed, aws, reviews))
        app = create_app(LocalAccess(services, logins, hosts=[address.removeprefix("http://")]))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        headers = {"origin": address, TOKEN_HEADER: services.csrf_token}
        session = logins.start_session(logins.start_address.partition("=")[2])
        try:
            with httpx.Client(
                base_url=address, headers=headers, cookies={logins.session_cookie: str(session)}, timeout=60
            ) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
