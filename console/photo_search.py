"""A search for photos: what the address of the Photos page says, and the filter that DynamoDB applies."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from functools import reduce
from operator import and_, or_
from urllib.parse import urlencode

from boto3.dynamodb.conditions import Attr, ConditionBase

from functions.shared.photo_reader import BY_DAY, BY_DRIVER, BY_STATUS
from functions.shared.photo_record import BATCHED, CLASSIFIED, IN_REVIEW, REJECTED, ROUTED, UNROUTED

TIMED_OUT = "timed_out"
STATUSES = {
    IN_REVIEW: "Waiting for a reviewer",
    ROUTED: "Routed",
    TIMED_OUT: "Timed out, help desk",
    REJECTED: "Rejected",
    UNROUTED: "Not routed",
    CLASSIFIED: "Classified, not decided",
    BATCHED: "Unsure in a batch",
}
"""What can be chosen as status, with its text. TIMED_OUT is a part of ROUTED: nobody answered in time."""

_PHOTO_ID = re.compile("[0-9a-f]{32}")
_REASONS = ("outcome.rejected.reason", "review.reason", "error.Error")


@dataclass(frozen=True)
class Search:
    """Which photos to show. An empty text is no restriction, and each field is a parameter of the page's address.

    `q` is a photo id, a driver id, or a part of a driver id or of a file's name. `since` and `until` are days in UTC on
    which photos were first seen (yyyy-mm-dd), both inclusive. `least` and `most` are confidences in [0, 1]; a photo
    that no model classified does not pass them. `disagree` is `yes` for photos about which a reviewer and the model
    disagree.
    """

    q: str = ""
    status: str = ""
    since: str = ""
    until: str = ""
    reason: str = ""
    vehicle: str = ""
    model: str = ""
    by: str = ""
    bay: str = ""
    least: str = ""
    most: str = ""
    disagree: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Search":
        """Read the parameters of an address. A value that cannot be one is no restriction."""
        given = {field.name: parameters.get(field.name, "").strip() for field in fields(cls)}
        for name in ("since", "until"):
            given[name] = _day(given[name])
        for name in ("least", "most"):
            given[name] = _confidence(given[name])
        given["status"] = given["status"] if given["status"] in STATUSES else ""
        return cls(**given)

    def address(self, **changes: str) -> str:
        """Return the address of the page with this search, where `changes` replace parameters.

        >>> Search(q="driver 17", status="rejected").address(since="2026-11-27")
        '/photos?q=driver+17&status=rejected&since=2026-11-27'
        """
        after = changes.pop("after", "")
        changed = replace(self, **changes)
        given = {field.name: getattr(changed, field.name) for field in fields(changed)} | {"after": after}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"/photos?{query}" if query else "/photos"

    @property
    def photo_id(self) -> str | None:
        """The photo id that is searched for, None when `q` is none."""
        return self.q if _PHOTO_ID.fullmatch(self.q) else None

    @property
    def has_details(self) -> bool:
        """Whether one of the rarer filters is set."""
        return any((self.reason, self.vehicle, self.model, self.by, self.bay, self.least, self.most, self.disagree))

    @property
    def is_empty(self) -> bool:
        """Whether every photo passes."""
        return self == Search()

    def condition(self, index: str) -> ConditionBase | None:
        """Return the filter that a record has to pass, None when each does.

        `index` is the index that is read: its keys must not be in the filter ("Filter expressions for the Query
        operation", Amazon DynamoDB Developer Guide).
        """
        parts = self._classification()
        if index != BY_STATUS:
            parts += self._status()
        if index != BY_DAY:
            parts += self._times()
        if self.q and index != BY_DRIVER:
            parts.append(Attr("driver_id").contains(self.q) | Attr("photo.key").contains(self.q))
        if self.reason:
            named: list[ConditionBase] = [Attr(name).eq(self.reason) for name in _REASONS]
            parts.append(reduce(or_, named))
        if self.by:
            parts.append(Attr("outcome.decided_by").eq(self.by))
        if self.bay:
            parts.append(Attr("outcome.loading_bay").eq(self.bay))
        if self.disagree:
            parts.append(_disagrees())
        return reduce(and_, parts) if parts else None

    def _status(self) -> list[ConditionBase]:
        if self.status == TIMED_OUT:
            return [Attr("status").eq(ROUTED), Attr("outcome.decided_by").eq("fallback")]
        return [Attr("status").eq(self.status)] if self.status else []

    def _times(self) -> list[ConditionBase]:
        found: list[ConditionBase] = []
        if self.since:
            found.append(Attr("day").gte(self.since))
        if self.until:
            found.append(Attr("day").lte(self.until))
        return found

    def _classification(self) -> list[ConditionBase]:
        found: list[ConditionBase] = []
        if self.vehicle:
            undecided = Attr("outcome.vehicle").not_exists() & Attr("classification.vehicle").eq(self.vehicle)
            found.append(Attr("outcome.vehicle").eq(self.vehicle) | undecided)
        if self.model:
            found.append(Attr("classification.model_version").eq(self.model))
        if self.least:
            found.append(Attr("classification.confidence").gte(float(self.least)))
        if self.most:
            found.append(Attr("classification.confidence").lte(float(self.most)))
        return found


def _disagrees() -> ConditionBase:
    """Whether a reviewer routed the photo as another vehicle than the model's, or classified it as another later."""
    model = Attr("classification.vehicle")
    routed = Attr("outcome.decided_by").eq("reviewer") & Attr("outcome.vehicle").ne(model)
    later = [Attr(name).exists() & Attr(name).ne(model) for name in ("label_answer.vehicle", "second_answer.vehicle")]
    return model.exists() & (routed | later[0] | later[1])


def quick_days(today: date) -> dict[str, tuple[str, str]]:
    """Return the days of the links above the photos, as (since, until) by title."""
    day = timedelta(days=1)
    yesterday = (today - day).isoformat()
    return {
        "Today": (today.isoformat(), ""),
        "Yesterday": (yesterday, yesterday),
        "Last 7 days": ((today - 6 * day).isoformat(), ""),
        "All days": ("", ""),
    }


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:  # typed by a person: no limit
        return ""


def _confidence(text: str) -> str:
    try:
        value = float(text)
    except ValueError:  # typed by a person: no limit
        return ""
    return text if 0 <= value <= 1 else ""
