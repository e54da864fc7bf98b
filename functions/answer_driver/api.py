"""The drivers' HTTP API: upload forms, and the states of a driver's photos.

API Gateway lets a driver request only paths with their own id (docs/driver-api.md). Here, a photo belongs to a driver
when its key is in their folder; any other photo is answered like one that does not exist.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from functions.answer_driver.answers import Answer, refuse, show_form, show_record, show_uploaded
from functions.answer_driver.forms import create_form, upload_key
from functions.answer_driver.request import Request
from functions.shared.errors import InvalidInput, PhotoMissing
from functions.shared.photo import Photo
from functions.shared.photo_reader import BY_DRIVER, PhotoReader
from functions.shared.times import now
from functions.shared.uploads import Uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NO_PHOTO = "You have no such photo. Check the photo id, or ask with the upload id."
_NOTHING_UPLOADED = "No photo was uploaded with this form yet. Send the form, or request a new one if it has expired."
_NONE_YET = "You have uploaded no photo yet. Request a form and send it."


class DriverApi:
    """Answers requests. Every method raises RecordUnavailable or PhotoUnavailable."""

    def __init__(self, bucket: str, photos: PhotoReader, uploads: Uploads, signer: "S3Client") -> None:
        """`bucket` is the uploads bucket; `signer` signs forms for it."""
        self._bucket = bucket
        self._photos = photos
        self._uploads = uploads
        self._signer = signer
        self._routes: Mapping[str, Callable[..., Answer]] = {
            "POST /drivers/{driver_id}/uploads": self.create_upload,
            "GET /drivers/{driver_id}/uploads/{upload_id}": self.show_upload,
            "GET /drivers/{driver_id}/photos/last": self.show_last_photo,
            "GET /drivers/{driver_id}/photos/{photo_id}": self.show_photo,
        }

    @property
    def routes(self) -> frozenset[str]:
        """The keys of all routes."""
        return frozenset(self._routes)

    def answer(self, request: Request) -> Answer:
        """Answer a request. Raises InvalidInput for a route that only the deployed API knows."""
        if request.route not in self._routes:
            raise InvalidInput(f"the API has the route {request.route!r}, the function has not; run `make deploy`")
        if mistake := request.mistake():
            return refuse(400, f"{mistake}.")
        expected = {part.strip("{}") for part in request.route.split("/") if part.startswith("{")}
        if set(request.parameters) != expected:
            raise InvalidInput(f"the event has not exactly the parameters of {request.route!r}; run `make deploy`")
        return self._routes[request.route](**request.parameters)

    def create_upload(self, driver_id: str) -> Answer:
        """Return a form that uploads one photo."""
        return show_form(create_form(self._signer, self._bucket, driver_id, now()))

    def show_upload(self, driver_id: str, upload_id: str) -> Answer:
        """Return the state of the photo that was uploaded with a form."""
        try:
            photo = self._uploads.identify(Photo(self._bucket, upload_key(driver_id, upload_id)))
        except PhotoMissing:  # the driver has not sent the form
            return refuse(404, _NOTHING_UPLOADED)
        record = self._photos.get(photo.photo_id)
        return show_record(record) if record else show_uploaded(photo.photo_id)

    def show_photo(self, driver_id: str, photo_id: str) -> Answer:
        """Return the state of a photo of the driver."""
        record = self._photos.get(photo_id)
        if record is None or not self._is_photo_of(record.photo, driver_id):
            return refuse(404, _NO_PHOTO)
        return show_record(record)

    def show_last_photo(self, driver_id: str) -> Answer:
        """Return the state of the photo of the driver that the workflow saw last for the first time."""
        found = self._photos.list_page(BY_DRIVER, driver_id, 1).records
        if not found or not self._is_photo_of(found[0].photo, driver_id):
            return refuse(404, _NONE_YET)
        return show_record(found[0])

    def _is_photo_of(self, photo: Photo, driver_id: str) -> bool:
        # Not Photo.driver_id, which is `unknown` for every photo outside of uploads/.
        return photo.bucket == self._bucket and photo.key.startswith(upload_key(driver_id, ""))
