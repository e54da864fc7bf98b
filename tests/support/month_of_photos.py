"""A simulated month of a stage: photos, reviews, three models, an audit and a drift, for the report."""

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from functions.shared.audit import AuditFigures
from functions.shared.champion import INITIAL, RETRAINING, Champion
from functions.shared.drift import STATISTICS, describe, observe
from functions.shared.drift_state import DriftState
from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, REJECTED, ROUTED, PhotoRecord
from functions.shared.times import timestamp
from operate.report.stage import Latency, Observed, Rejected, Rules

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 28
RULES = Rules(
    time_zone="Europe/Dublin",
    threshold=None,
    audit_error_limit=0.02,
    drift_period=timedelta(days=1),
    drift_periods=7,
    drift_photos=100,
    psi_limit=0.25,
)
MODELS = [
    Champion(name, name, f"s3://ml/{name}", threshold=threshold, promoted_at=at, origin=origin)
    for name, threshold, at, origin in (
        ("initial-7beb6b12", 0.895, "2026-10-30T09:00:00Z", INITIAL),
        ("vehicles-dev-20261105-030211-b962", 0.885, "2026-11-05T03:20:00Z", RETRAINING),
        ("vehicles-dev-20261119-030154-77c1", 0.9, "2026-11-19T03:21:00Z", RETRAINING),
    )
]
# From this day on, photos are dark, and the model is less sure.
DARK_FROM = 21


@dataclass(frozen=True)
class Month:
    """How many photos a day, and whether it becomes dark."""

    photos_per_day: int = 60
    dark: bool = True
    seed: int = 1

    def records(self) -> list[PhotoRecord]:
        """Return the records of all photos, the oldest first."""
        dice = random.Random(self.seed)  # noqa: S311  # a simulation
        times = sorted(
            FIRST + timedelta(days=day, hours=6 + 15 * dice.betavariate(2.5, 2.5))
            for day in range(DAYS)
            for _ in range(round(self.photos_per_day * (0.6 if day % 7 >= 5 else 1)))
        )
        return [self._record(dice, number, at) for number, at in enumerate(times)]

    def observed(self) -> Observed:
        """Return the month as the report reads it."""
        records = self.records()
        champion = MODELS[-1]
        last = [
            record for record in records if (record.classification or {}).get("model_version") == champion.model_version
        ]
        seen = [one for record in last[:600] if (one := observe(record, 0.9))]
        calm = [one for one in seen if float(one["brightness"]) > 0.35]
        references = {name: found for name in STATISTICS if (found := describe(name, calm))}
        since = str(champion.promoted_at)
        dice = random.Random(self.seed)  # noqa: S311  # a simulation
        days = [FIRST + timedelta(days=day) for day in range(DAYS)]
        return Observed(
            stage="dev",
            since=FIRST,
            until=FIRST + timedelta(days=DAYS),
            width=timedelta(days=1),
            rules=RULES,
            photos=records,
            models=MODELS,
            rejected=[
                Rejected("vehicles-dev-20261112-030144-0d3e", datetime(2026, 11, 12, 3, 20, tzinfo=UTC), "not better")
            ],
            champion=champion.model_version,
            audit=AuditFigures.of(record for record in records if record.audit),
            drift=DriftState(champion.model_version, 0.9, since, since, references),
            latency=[Latency(day, 60 + 8 * dice.random(), 130 + 60 * dice.random()) for day in days],
        )

    def _record(self, dice: random.Random, number: int, at: datetime) -> PhotoRecord:
        day = (at - FIRST).days
        dark = self.dark and day >= DARK_FROM
        model = [one for one in MODELS if datetime.fromisoformat(str(one.promoted_at)) <= at][-1]
        photo = Photo("uploads", f"uploads/driver-{number % 40}/{number}.jpg", f"{number:032x}", 90_000, timestamp(at))
        seen = at + timedelta(seconds=dice.uniform(0.2, 0.9))
        execution = f"arn:aws:states:eu-west-1:123456789012:execution:scones-dev-classify-photo:{number}"
        if dice.random() < 0.012:
            rejected = {"rejected": {"reason": "UnreadablePhoto", "message": "x"}, "rejected_at": timestamp(seen)}
            return PhotoRecord(photo, REJECTED, timestamp(seen), timestamp(seen), execution, outcome=rejected)
        vehicle = dice.choices(("bicycle", "motorcycle", "other"), (0.55, 0.4, 0.05))[0]
        # The later models are surer, and darkness makes all of them less sure.
        odds = dice.gauss(5.2 + MODELS.index(model) * 0.7 - 2.4 * dark, 1.9)
        confidence = 1 / (1 + math.exp(-max(odds, -0.5)))
        image = {"brightness": max(0.02, dice.gauss(0.18 if dark else 0.5, 0.09)), "sharpness": dice.gauss(0.05, 0.01)}
        image |= {"width": 1200, "height": 900}
        classification = {"vehicle": vehicle, "confidence": confidence, "model_version": model.model_version}
        threshold = float(model.threshold or 0)
        asked = vehicle == "other" or confidence < threshold
        wait = dice.lognormvariate(4.6, 0.8) if asked else dice.uniform(0.2, 0.9)
        by = "fallback" if wait > 900 else "reviewer" if asked else "model"
        decided = at + timedelta(seconds=min(wait, 900))
        review = {"requested_at": timestamp(seen), "reason": "LowConfidence"} if asked else None
        common = {"classification": classification, "threshold": threshold, "image": image, "review": review}
        if decided >= FIRST + timedelta(days=DAYS):
            return PhotoRecord(photo, IN_REVIEW, timestamp(seen), timestamp(seen), execution, **common)  # type: ignore[arg-type]
        outcome = {"vehicle": vehicle, "decided_by": by, "decided_at": timestamp(decided)}
        outcome["model_version"] = model.model_version
        audit = {"share": 0.2} if by == "model" and dice.random() < 0.2 else None
        wrong = audit and dice.random() < 0.012
        answer = {"vehicle": "other" if wrong else vehicle} if audit and dice.random() < 0.9 else None
        return PhotoRecord(
            photo, ROUTED, timestamp(decided), timestamp(seen), execution, outcome=outcome, audit=audit,
            label_answer=answer, **common,  # type: ignore[arg-type]
        )  # fmt: skip
