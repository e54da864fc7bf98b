"""The photo table: one record per photo, changed by conditional transitions only."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.conditions import Attr, ConditionBase, ConditionExpressionBuilder
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import error_code
from functions.shared.decision import FALLBACK
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.photo import Photo
from functions.shared.photo_conditions import (
    IS_IN_REVIEW,
    IS_MISSING,
    IS_TOO_MANY,
    IS_UNROUTED,
    OPEN,
    UNSEEN,
    is_own_review,
    is_uploaded_again,
    upload_attribute,
)
from functions.shared.photo_reader import PhotoReader, unavailable
from functions.shared.photo_record import (
    CLASSIFIED,
    IN_REVIEW,
    OUTCOMES,
    REJECTED,
    ROUTED,
    UNROUTED,
    PhotoRecord,
)
from functions.shared.times import purge_at, timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import UpdateItemInputTypeDef

_REFUSED = "ConditionalCheckFailedException"


class Refused(Exception):
    """The photo's status does not allow the transition. `record` is the record as it is."""

    def __init__(self, record: PhotoRecord) -> None:
        """`record` is the record that was found."""
        super().__init__(f"{record.photo} is {record.status}")
        self.record = record


class PhotoTable(PhotoReader):
    """The DynamoDB table of photos. Its key is `photo_id`, its TTL `purge_at`, which each transition renews.

    Each method of a transition writes only when the record allows it, and raises Refused otherwise:

    | from \\ to   | classified | in_review | routed | rejected | unrouted |
    |-------------|------------|-----------|--------|----------|----------|
    | (no record) | yes        | yes       | yes    | yes      | yes      |
    | batched     | yes        | yes       | yes    | yes      | yes      |
    | classified  | yes        | yes       | yes    | yes      | own      |
    | in_review   | own        | own       | yes    | yes      | own      |
    | unrouted    | yes        | yes       | yes    | yes      | own      |
    | routed      | no         | no        | no     | no       | no       |
    | rejected    | again      | again     | again  | again    | no       |

    own: the execution that made the last transition; in_review also when the review request has expired. A photo in
    review is not routed by `classify`, as a photo whose review another execution waits for.
    again: a photo that was rejected as PhotoMissing, was uploaded again, and is not rejected as that again; an
    execution that classified it or requested its review before it was missing keeps the rejection. Or one that was
    rejected as TooManyPhotos and was uploaded again at `rejected.retry_at` or later.
    The last column is that of `mark_unrouted`; `claim_restart` has a condition of its own. A rejection as TooManyPhotos
    is of one upload, not of the photo: it is recorded without a record, again, and for an unrouted photo of which this
    is the last upload.

    Indexes: `by-status` and `unannounced` (outcomes whose event was not published) by the time of the last transition,
    `by-day` and `by-driver` by the time of the first one, `label-wanted` (photos that AuditDecisions asks reviewers
    about) by the time from which on that is so.

    Every method raises RecordUnavailable when DynamoDB does not answer.
    """

    def classify(
        self,
        photo: Photo,
        execution: str,
        at: datetime,
        *,
        classification: Mapping[str, Any],
        threshold: float,
        image: Mapping[str, float] | None = None,
        decision: Mapping[str, Any] | None = None,
        audit: Mapping[str, Any] | None = None,
    ) -> PhotoRecord | None:
        """Record the classification, statistics of the image, the `decision` if the model made one, and the `audit`.

        Returns the record as it was before, or None. Raises Refused.
        """
        outcome = {"outcome": decision, "unannounced": "yes"} if decision else {}
        if audit:
            outcome |= {"audit": audit, **_label_wanted(at)}
        return self._move(
            photo,
            ROUTED if decision else CLASSIFIED,
            execution,
            at,
            {
                "classification": classification,
                "threshold": threshold,
                "image": image,
                "classified_at": timestamp(at),
                "classified_by": execution,
                **outcome,
            },
            allowed=UNSEEN | OPEN | is_own_review(execution, at) | is_uploaded_again(photo, execution),
        )

    def claim_review(
        self, photo: Photo, execution: str, at: datetime, *, review: Mapping[str, Any]
    ) -> PhotoRecord | None:
        """Record a review request, which `execution` owns from now on; return the record as it was before, or None.

        Raises Refused when another execution owns a request that has not expired.
        """
        return self._move(
            photo,
            IN_REVIEW,
            execution,
            at,
            {"review": {**review, "execution": execution}},
            allowed=UNSEEN | OPEN | is_own_review(execution, at) | is_uploaded_again(photo, execution),
            appended={"review_requests": [{"token_hash": review["token_hash"], "requested_at": timestamp(at)}]},
        )

    def mark_review_announced(self, photo_id: str, execution: str) -> None:
        """Record that `execution` published the event of its review request."""
        self._set(photo_id, "review_announced_by", execution)

    def mark_review_sent(self, photo_id: str, token_hash: str) -> None:
        """Record that SQS accepted the message with the task token of this SHA-256."""
        self._set(photo_id, "review_sent", token_hash)

    def mark_notified(self, photo_id: str, execution: str) -> None:
        """Record that an operator was notified of the failure of `execution`."""
        self._set(photo_id, "notified", execution)

    def record_outcome(
        self, photo: Photo, status: str, execution: str, at: datetime, *, outcome: Mapping[str, Any]
    ) -> None:
        """Record the decision (`status` ROUTED) or the rejection (REJECTED) of a photo. Raises Refused."""
        reason = outcome["rejected"]["reason"] if status == REJECTED else None
        again = is_uploaded_again(photo, execution)
        if reason == "PhotoMissing":
            allowed = UNSEEN | OPEN | IS_IN_REVIEW
        elif reason == "TooManyPhotos":
            allowed = UNSEEN | again | (IS_UNROUTED & Attr("upload").eq(upload_attribute(photo)))
        else:
            allowed = UNSEEN | OPEN | IS_IN_REVIEW | again
        self._move(
            photo,
            status,
            execution,
            at,
            # Nobody answered the review of a decision by the fallback in time: a later answer is a label.
            {
                "outcome": outcome,
                "unannounced": "yes",
                **(_label_wanted(at) if outcome.get("decided_by") == FALLBACK else {}),
            },
            allowed=allowed,
        )

    def claim_announcement(self, record: PhotoRecord, at: datetime) -> bool:
        """Reserve the overdue announcement of an outcome for the caller; return whether no other caller has it."""
        claimed = "#claimed = :claimed" if record.announcing_at else "attribute_not_exists(#claimed)"
        values = {":at": timestamp(at), ":status_at": record.status_at}
        try:
            self._update(
                record.photo.photo_id,
                {
                    "UpdateExpression": "SET #claimed = :at",
                    "ConditionExpression": f"attribute_exists(unannounced) AND status_at = :status_at AND {claimed}",
                    "ExpressionAttributeNames": {"#claimed": "announcing_at"},
                    "ExpressionAttributeValues": serialize(
                        values | ({":claimed": record.announcing_at} if record.announcing_at else {})
                    ),
                },
            )
        except ClientError:  # the condition: another caller has it
            return False
        return True

    def mark_announced(self, record: PhotoRecord, at: datetime) -> None:
        """Record that the event of an outcome was published; do nothing when the photo has another status by now."""
        try:
            self._update(
                record.photo.photo_id,
                {
                    "UpdateExpression": "SET #announced_at = :at REMOVE #unannounced",
                    "ConditionExpression": "#status = :status AND #status_at = :status_at",
                    "ExpressionAttributeNames": {
                        f"#{name}": name for name in ("announced_at", "unannounced", "status", "status_at")
                    },
                    "ExpressionAttributeValues": serialize(
                        {":at": timestamp(at), ":status": record.status, ":status_at": record.status_at}
                    ),
                },
            )
        except ClientError:  # the condition: the photo has another status by now
            return

    def mark_unrouted(
        self, photo: Photo, execution: str, at: datetime, *, error: Mapping[str, Any]
    ) -> PhotoRecord | None:
        """Record that `execution` ended without an outcome, and why; return the record as it was before, or None.

        Raises Refused when another execution made the last transition.
        """
        own = Attr("status").is_in([CLASSIFIED, IN_REVIEW, UNROUTED]) & Attr("execution").eq(execution)
        return self._move(photo, UNROUTED, execution, at, {"error": error}, allowed=UNSEEN | own)

    def claim_restart(
        self,
        photo: Photo,
        before: PhotoRecord | None,
        execution: str,
        at: datetime,
        *,
        error: Mapping[str, Any],
        restarts: int,
    ) -> None:
        """Record that `execution` is about to be started for a photo without an outcome, and why (`error`).

        `before` is the record that was read, None without one; `restarts` counts `execution` too. Raises Refused when
        another execution has made a transition since, so that of several callers one succeeds. A photo that was
        rejected as PhotoMissing or TooManyPhotos counts as without an outcome.
        """
        restartable = OPEN | IS_IN_REVIEW | IS_MISSING | IS_TOO_MANY
        same = Attr("execution").eq(before.execution) & restartable if before else UNSEEN
        self._move(photo, UNROUTED, execution, at, {"error": error, "restarts": restarts}, allowed=same)

    def _set(self, photo_id: str, name: str, value: str) -> None:
        self._update(
            photo_id,
            {
                "UpdateExpression": "SET #name = :value",
                "ConditionExpression": "attribute_exists(photo_id)",
                "ExpressionAttributeNames": {"#name": name},
                "ExpressionAttributeValues": serialize({":value": value}),
            },
        )

    def _move(
        self,
        photo: Photo,
        status: str,
        execution: str,
        at: datetime,
        attributes: Mapping[str, Any],
        *,
        allowed: ConditionBase,
        appended: Mapping[str, list[Any]] | None = None,
    ) -> PhotoRecord | None:
        """Make a transition; return the record before it. `appended` are added to lists. Raises Refused."""
        appended = appended or {}
        now = timestamp(at)
        changed = {
            "status": status,
            "status_at": now,
            "execution": execution,
            # From the last transition: a photo of any age may be restarted, reviewed and labelled.
            "purge_at": purge_at(at),
            **attributes,
        }
        if upload := upload_attribute(photo):
            changed["upload"] = upload
        first = {
            "photo": photo.as_state(),
            "driver_id": photo.driver_id,
            "first_seen_at": now,
            "day": now[:10],
        }
        # An outcome is final, but for a rejected photo that was uploaded again.
        removed = ("announced_at",) if status in OUTCOMES else ("announced_at", "outcome", "unannounced")
        condition = ConditionExpressionBuilder().build_expression(allowed)
        new = {**changed, **first, **appended}
        sets = [f"#{name} = :{name}" for name in changed]
        sets += [f"#{name} = if_not_exists(#{name}, :{name})" for name in first]
        sets += [f"#{name} = list_append(if_not_exists(#{name}, :none), :{name})" for name in appended]
        try:
            before = self._update(
                photo.photo_id,
                {
                    "UpdateExpression": f"SET {', '.join(sets)} REMOVE {', '.join(f'#{name}' for name in removed)}",
                    "ConditionExpression": condition.condition_expression,
                    "ExpressionAttributeNames": {
                        **{f"#{name}": name for name in (*new, *removed)},
                        **condition.attribute_name_placeholders,
                    },
                    "ExpressionAttributeValues": serialize(
                        {
                            **{f":{name}": value for name, value in new.items()},
                            **({":none": []} if appended else {}),
                            **condition.attribute_value_placeholders,
                        }
                    ),
                    "ReturnValues": "ALL_OLD",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ClientError as error:
            item = deserialize(cast("dict[str, Any]", error.response)["Item"])
            raise Refused(PhotoRecord.from_item(item)) from error
        return PhotoRecord.from_item(before) if before else None

    def _update(self, photo_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Update an item; return its attributes before. Raises ClientError only when the condition is not met."""
        whole: UpdateItemInputTypeDef = {
            "TableName": self.name,
            "Key": serialize({"photo_id": photo_id}),
            **request,  # type: ignore[typeddict-item]
        }
        try:
            return deserialize(self._dynamodb.update_item(**whole).get("Attributes", {}))
        except ClientError as error:
            if error_code(error) == _REFUSED:
                raise
            raise unavailable(photo_id, error) from error
        except BotoCoreError as error:
            raise unavailable(photo_id, error) from error


def _label_wanted(at: datetime) -> dict[str, str]:
    """Return the attributes with which a record is in the index `label-wanted`."""
    return {"label_wanted": "yes", "label_wanted_at": timestamp(at)}
