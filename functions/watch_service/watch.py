"""What CloudWatch has no metric for: waiting drivers, a missing endpoint, and when photos and models came last."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from functions.shared.champion import ModelTable
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import IN_REVIEW
from functions.shared.sagemaker import find_endpoint
from functions.watch_service.opening_hours import OpeningHours

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# An endpoint answers requests in all of them ("DescribeEndpoint", Amazon SageMaker API Reference).
_SERVING = {"InService", "Updating", "SystemUpdating", "RollingBack"}


@dataclass(frozen=True)
class Watch:
    """One look at the stage, at the time `at`."""

    photos: PhotoReader
    models: ModelTable
    sagemaker: "SageMakerClient"
    endpoint: str
    opening_hours: OpeningHours | None
    at: datetime

    def measure(self) -> Mapping[str, float]:
        """Return the metrics by name. One without a value, such as that of a model before there is one, is missing.

        `LongestDriverWait` is in seconds. Raises RecordUnavailable, ClientError or BotoCoreError.
        """
        return dict(self._measure())

    def _measure(self) -> Iterator[tuple[str, float]]:
        yield "LongestDriverWait", self._longest_wait_s()
        if self.opening_hours is not None:
            yield "HoursWithoutPhoto", self._hours_without_photo(self.opening_hours)
        champion = self.models.champion()
        if champion is None:
            return
        yield "EndpointInService", float(self._is_serving())
        judged = [at for at in (champion.promoted_at, self.models.last_judged_at()) if at]
        if judged:
            yield "DaysSinceSuccessfulRetraining", self._since(max(judged)) / timedelta(days=1)

    def _longest_wait_s(self) -> float:
        """Return how long the driver of the oldest photo in review has waited, 0 when none waits."""
        oldest = next(self.photos.list_by_status(IN_REVIEW), None)
        if oldest is None:
            return 0.0
        requested = str((oldest.review or {}).get("requested_at", oldest.status_at))
        return max(0.0, self._since(requested).total_seconds())

    def _hours_without_photo(self, hours: OpeningHours) -> float:
        """Return the hours since the last photo, at most since the opening, 0 outside of the opening hours."""
        opened = hours.opened_at(self.at)
        if opened is None:
            return 0.0
        days = {f"{day.astimezone(self.at.tzinfo):%Y-%m-%d}" for day in (self.at, opened)}
        newest = (next(self.photos.list_by_day(day, newest_first=True), None) for day in days)
        seen = [datetime.fromisoformat(record.first_seen_at) for record in newest if record]
        return max(0.0, (self.at - max([opened, *seen])) / timedelta(hours=1))

    def _is_serving(self) -> bool:
        found = find_endpoint(self.endpoint, self.sagemaker)
        return found is not None and found["EndpointStatus"] in _SERVING

    def _since(self, at: str) -> timedelta:
        return self.at - datetime.fromisoformat(at)
