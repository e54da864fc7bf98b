"""The record of a photo: everything that is known about it, from its first sight to its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.photo import Photo

CLASSIFIED = "classified"
IN_REVIEW = "in_review"
ROUTED = "routed"
REJECTED = "rejected"
UNROUTED = "unrouted"
# Classified in a batch only, which asks reviewers about it: no driver waits, and it gets no outcome.
BATCHED = "batched"

STATUSES = (CLASSIFIED, IN_REVIEW, ROUTED, REJECTED, UNROUTED, BATCHED)
# A photo with one of these has an outcome.
OUTCOMES = (ROUTED, REJECTED)


@dataclass(frozen=True)
class PhotoRecord:
    """The item of a photo in the photo table.

    `photo` has the time and the sequencer of its last upload, as far as a transition knew them. `status` is one of
    STATUSES, `status_at` the time of the last transition, `first_seen_at` that of the first one (both ISO 8601).
    `execution` is the ARN of the execution that made the last transition. `classification` and `threshold` are the
    model's, None when it did not answer; `image` has the statistics of the image that the endpoint returned with it, or
    None. `review` is the last review request: `reason`, `requested_at`, `expires_at`,
    `execution` and `token_hash`, the SHA-256 of its task token; `review_announced_by` is the execution that published
    its event, `review_sent` the hash of the token in the message that SQS accepted.
    `review_requests` are all review requests about the photo, oldest first: `token_hash` and `requested_at` of each.
    `outcome` is the decision or the rejection as its event contains it, `announced` whether that event was published,
    `announcing_at` when an execution other than the one that recorded it, or a reconciliation, was about to publish it.
    `audit` is set for a photo in the audit sample: `share`, the share of photos that were in the sample at that time.
    `label_request` is the request for a label that no driver waits for: `reason`, `token_hash` (its id) and
    `requested_at`; `label_sent` is that token_hash once SQS has accepted the message. `label_answer` is the answer:
    `vehicle`, `reviewer` and `answered_at`. `second_request`, `second_sent` and `second_answer` are the same for a
    second opinion; `second_request` also has `first`, the answer that it is compared with.
    `error` is why an execution ended without an outcome. `restarts` counts the executions that reconciliations started.
    `notified` is the last failed execution of which an operator was notified.
    """

    photo: Photo
    status: str
    status_at: str
    first_seen_at: str
    execution: str
    classification: Mapping[str, Any] | None = None
    threshold: float | None = None
    image: Mapping[str, float] | None = None
    review: Mapping[str, Any] | None = None
    review_announced_by: str | None = None
    review_sent: str | None = None
    review_requests: tuple[Mapping[str, str], ...] = ()
    outcome: Mapping[str, Any] | None = None
    announced: bool = False
    announcing_at: str | None = None
    audit: Mapping[str, Any] | None = None
    label_request: Mapping[str, Any] | None = None
    label_sent: str | None = None
    label_answer: Mapping[str, Any] | None = None
    second_request: Mapping[str, Any] | None = None
    second_sent: str | None = None
    second_answer: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    restarts: int = 0
    notified: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "PhotoRecord":
        """Read an item of the table, converted to JSON values."""
        photo, upload = item["photo"], item.get("upload", {})
        return cls(
            photo=Photo(photo["bucket"], photo["key"], photo["etag"], photo["size"], **upload),
            status=item["status"],
            status_at=item["status_at"],
            first_seen_at=item["first_seen_at"],
            execution=item["execution"],
            classification=item.get("classification"),
            threshold=item.get("threshold"),
            image=item.get("image"),
            review=item.get("review"),
            review_announced_by=item.get("review_announced_by"),
            review_sent=item.get("review_sent"),
            review_requests=tuple(item.get("review_requests", ())),
            outcome=item.get("outcome"),
            announced="announced_at" in item,
            announcing_at=item.get("announcing_at"),
            audit=item.get("audit"),
            label_request=item.get("label_request"),
            label_sent=item.get("label_sent"),
            label_answer=item.get("label_answer"),
            second_request=item.get("second_request"),
            second_sent=item.get("second_sent"),
            second_answer=item.get("second_answer"),
            error=item.get("error"),
            restarts=item.get("restarts", 0),
            notified=item.get("notified"),
        )

    @property
    def has_outcome(self) -> bool:
        """Whether the photo was routed or rejected."""
        return self.status in OUTCOMES

    def is_unrouted_by(self, execution: str) -> bool:
        """Whether `execution` ended without an outcome, and no other one was started for the photo since.

        The execution in the record may be an earlier one, of whose failure an operator was notified already.
        """
        return self.status == UNROUTED and self.execution in (execution, self.notified)
