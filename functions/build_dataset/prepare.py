"""What the rest of a retraining needs to know."""

from dataclasses import dataclass
from typing import Any

from functions.build_dataset.request import Request
from functions.build_dataset.snapshot import Snapshot
from functions.shared.champion import Champion

PROGRAM = "training/train.py"
NO_CHAMPION = "none"


def needed(request: Request, min_new_labels: int) -> int:
    """How many unjudged labels this retraining needs to be worth its cost.

    None when a person asked or forced it; a few for the trigger that counts labels; one for the schedule and the drift
    alarm, because the same data would only give the same model.
    """
    if request.force or not request.automatic:
        return 0
    return min_new_labels if request.trigger == "labels" else 1


def hindrance(request: Request, champion: Champion | None) -> tuple[str, str] | None:
    """Why this retraining cannot begin, as a reason and a sentence; None when it can.

    An automatic trigger retrains a champion on the data that the champion was trained on; only a person starts the
    first retraining.
    """
    if not request.automatic:
        return None
    if champion is None:
        return "NoChampion", f"the trigger {request.trigger} retrains a champion, and there is none; `make retrain`"
    if not (request.dataset and request.source):
        return "NoTrainingData", "no retraining was promoted here, so there is no data to train on; `make retrain`"
    return None


@dataclass(frozen=True)
class Prepared:
    """A retraining about to start.

    `bucket` is the ML bucket, `snapshot` None when there was nothing to freeze, `features` the S3 prefix that the
    training channel of kept features reads, None when nothing is trained, `drawn` whether the base data are drawn
    pictures, `bake_s` how long a promoted model is watched. `new_labels` are those that the champion has not learned;
    `unjudged` those of them that neither the last judged challenger nor a model that was rolled back had learned.
    """

    request: Request
    model_version: str
    bucket: str
    snapshot: Snapshot | None
    labelled: str
    features: str | None
    drawn: bool
    new_labels: int
    unjudged: int
    needed: int
    champion: Champion | None
    bake_s: int

    @property
    def obstacle(self) -> tuple[str, str] | None:
        """Why nothing is trained, as a reason and a sentence; None when the retraining goes on."""
        found = hindrance(self.request, self.champion)
        if found is None and self.unjudged < self.needed:
            known = "the champion, the last judged model and the models that were rolled back"
            return "NothingNew", f"{self.unjudged} labels are new to {known}; {self.needed} are needed"
        return found

    @property
    def proceed(self) -> bool:
        """Whether there is enough to learn."""
        return self.obstacle is None

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
        reason, words = self.obstacle or (None, f"{self.new_labels} labels are new since the champion")
        return {
            "proceed": self.proceed,
            "reason": reason,
            "words": words,
            "dataset": self.request.dataset,
            "source": self.request.source,
            "hyperparameters": self.hyperparameters,
            "drawn": self.drawn,
            "training_input": self.request.as_input(),
            "snapshot": self.snapshot.uri if self.snapshot else None,
            "labelled": self.labelled,
            "features": self.features,
            "labels": len(self.snapshot.entries) if self.snapshot else 0,
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
