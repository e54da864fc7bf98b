"""The Upload page."""

from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from console.uploads import TOO_LARGE, InvalidUpload
from console.web import views
from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices
from functions.shared.uploads import LARGEST_PHOTO_BYTES

router = APIRouter(dependencies=[Depends(REVIEWERS)])


@router.get("/upload")
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the Upload page."""
    return services.pages.render("upload", reviewer, max_mb=LARGEST_PHOTO_BYTES // 1024**2)


@router.post("/api/uploads")
async def upload(request: Request, driver: str, name: str, services: CurrentServices) -> dict[str, Any]:
    """Upload the request body as a photo. 413 when it is too large, 422 when it is refused for another reason."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_PHOTO_BYTES:
            raise HTTPException(413, TOO_LARGE)
    try:
        photo = await run_in_threadpool(services.uploads.put, driver, name, bytes(content))
    except InvalidUpload as error:
        raise HTTPException(422, str(error)) from error
    return {"photo_id": photo.photo_id, "name": name, "driver": driver}


@router.get("/api/uploads/{photo_id}")
def progress(photo_id: str, services: CurrentServices) -> dict[str, Any]:
    """Return the progress of an uploaded photo. 404 when this console did not upload it."""
    found = services.uploads.progress(photo_id)
    if found is None:
        raise HTTPException(404, "This photo was not uploaded from this console.")
    return views.progress(found)
