"""What the rest of a retraining needs to know."""

from dataclasses import dataclass
from typing import Any

from functions.build_dataset.request import MANUAL, Request
from functions.build_dataset.snapshot import Snapshot
from functions.shared.models import Champion

PROGRAM = "training/train.py"
NO_CHAMPION = "none"


def needed(request: Request, champion: Champion | None, min_new_labels: int) -> int:
    """How many new labels this retraining needs to be worth its cost.

    None when a person asked, forced it, or there is no model yet; a few for the trigger that counts labels; one for
    the schedule and the drift alarm, because the same data would only give the same model.
    """
    if champion is None or request.force or request.trigger == MANUAL:
        return 0
    return min_new_labels if request.trigger == "labels" else 1


@dataclass(frozen=True)
class Prepared:
    """A retraining about to start; `bucket` is the ML bucket, `bake_s` how long a promoted model is watched."""

    request: Request
    model_version: str
    bucket: str
    snapshot: Snapshot
    labelled: str
    new_labels: int
    needed: int
    champion: Champion | None
    bake_s: int

    @property
    def proceed(self) -> bool:
        """Whether there is enough to learn."""
        return self.new_labels >= self.needed

    @property
    def hyperparameters(self) -> dict[str, str]:
        """The training script's arguments, and where SageMaker finds the script."""
        chosen = {"classes": ",".join(self.request.classes)} if self.request.classes else {}
        return {
            **self.request.hyperparameters,
            **chosen,
            "sagemaker_program": PROGRAM,
            "sagemaker_submit_directory": self.request.source,
        }

    def as_state(self) -> dict[str, Any]:
        """What the workflow carries on; every key is always there."""
        champion = self.champion
        words = f"{self.new_labels} new labels since the champion learned; {self.needed} are needed"
        return {
            "proceed": self.proceed,
            "reason": None if self.proceed else "NothingNew",
            "words": words,
            "dataset": self.request.dataset,
            "source": self.request.source,
            "hyperparameters": self.hyperparameters,
            "snapshot": self.snapshot.uri,
            "labelled": self.labelled,
            "labels": len(self.snapshot.entries),
            "new_labels": self.new_labels,
            "champion": champion.as_state() if champion else None,
            # Without a champion the challenger is compared with itself, and the report says so.
            "baseline": {
                "model_version": champion.model_version if champion else NO_CHAMPION,
                "artifact": champion.artifact
                if champion
                else f"s3://{self.bucket}/models/{self.model_version}/output/model.tar.gz",
            },
            "rollback_config": champion.endpoint_config if champion else "",
            "force": self.request.force,
            "dry_run": self.request.dry_run,
            "bake_s": self.bake_s,
            "initial": None,
            "model_version": self.model_version,
            "golden": self.request.golden,
        }
