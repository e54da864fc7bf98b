"""The photos that the pages show."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from console.photos import SIZES, PhotoNotShown
from console.web.roles import REVIEWERS
from console.web.services import CurrentServices, Services
from functions.shared.photo import Photo

router = APIRouter(dependencies=[Depends(REVIEWERS)])


@router.get("/images/{photo_id}")
def photo(photo_id: str, services: CurrentServices, size: Annotated[str, Query()] = "large") -> Response:
    """Return a photo as JPEG, in a size of `console.photos.SIZES`. 404 when it is unknown or cannot be shown."""
    found = _find(services, photo_id) if size in SIZES else None
    if found is None:
        raise HTTPException(404, "This stage has no such photo.")
    try:
        content = services.photos.jpeg(found, size)
    except PhotoNotShown as error:
        raise HTTPException(404, str(error)) from error
    return Response(content, media_type="image/jpeg")


def _find(services: Services, photo_id: str) -> Photo | None:
    if request := services.desk.find_request(photo_id):
        return request.photo
    return services.uploads.find(photo_id) or services.records.find_photo(photo_id)
