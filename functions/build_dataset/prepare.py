"""The result of BuildDataset: the input of the later states of a retraining."""

from dataclasses import asdict, dataclass
from typing import Any

from functions.build_dataset.initial import InitialModel
from functions.build_dataset.request import REPAIR, Request
from functions.build_dataset.rollout import Rollout
from functions.build_dataset.snapshot import Snapshot
from functions.shared.champion import Champion, Reference

NO_CHAMPION = "none"


def required_labels(request: Request, min_new_labels: int) -> int:
    """Return how many unjudged labels this retraining requires.

    0 when a person started or forced it; `min_new_labels` for the trigger that counts labels; 1 for the schedule and
    the drift alarm, because the same data would give the same model.
    """
    if request.force or not request.automatic:
        return 0
    return min_new_labels if request.trigger == "labels" else 1


def find_obstacle(request: Request, champion: Champion | None) -> tuple[str, str] | None:
    """Return why this retraining cannot begin, as a reason and a sentence; None when it can.

    An automatic trigger retrains the champion on the data that it was trained on; only a person starts the first
    retraining.
    """
    if not request.automatic:
        return None
    if champion is None:
        return (
            "NoChampion",
            f"the trigger {request.trigger} needs a champion, and there is none; train one with `make retrain`",
        )
    if request.trigger == REPAIR:
        return "EndpointRepaired", f"the endpoint serves the champion {champion.model_version}; nothing was trained"
    if not request.dataset:
        return (
            "NoTrainingData",
            "no model was trained and promoted in this stage, so there is no data to train on; "
            "start a retraining with `make retrain`",
        )
    return None


@dataclass(frozen=True)
class Prepared:
    """A retraining before it trains.

    `bucket` is the ML bucket; `snapshot` None when there is an obstacle; `labelled` the S3 prefix of the labelled
    photos; `features` that of the champion's features for the training channel, None when nothing is trained; `drawn`
    whether the base data are drawn pictures; `bake_s` how long a new champion is monitored, in seconds. `new_labels`
    are those that the champion was not trained on; `unjudged` those of them that neither one of the last judged
    challengers nor a model that was rolled back was trained on; `required` the number of these that a retraining needs.
    `reference` is the recorded reference model; None until the first promotion, when the champion is the reference.
    `candidate` is the model that is compared in place of one that is trained.
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
    required: int
    champion: Champion | None
    bake_s: int
    rollout: Rollout
    reference: Reference | None = None
    candidate: InitialModel | None = None

    @property
    def obstacle(self) -> tuple[str, str] | None:
        """Why nothing is trained, as a reason and a sentence; None when the retraining continues."""
        found = find_obstacle(self.request, self.champion)
        if found is None and self.unjudged < self.required:
            known = "the champion, the last judged models and the models that were rolled back"
            return "NothingNew", f"{self.unjudged} labels are new to {known}; {self.required} are required"
        return found

    @property
    def proceed(self) -> bool:
        """Whether a model is trained."""
        return self.obstacle is None

    @property
    def hyperparameters(self) -> dict[str, str]:
        """The options of the training job."""
        chosen = {"classes": ",".join(self.request.classes)} if self.request.classes else {}
        return {**self.request.hyperparameters, **chosen}

    def as_state(self) -> dict[str, Any]:
        """Return the state of the workflow; it always has every key."""
        champion = self.champion
        # Without a champion, the input is the challenger; the version `none` makes the job ignore it.
        if self.candidate:
            challenger = self.candidate.artifact
        else:
            challenger = f"s3://{self.bucket}/models/{self.model_version}/output/model.tar.gz"
        baseline = {
            "model_version": champion.model_version if champion else NO_CHAMPION,
            "artifact": champion.artifact if champion else challenger,
        }
        reference = self.reference if champion else None
        reason, explanation = self.obstacle or (None, f"{self.new_labels} labels are new since the champion")
        return {
            "proceed": self.proceed,
            "reason": reason,
            "words": explanation,
            "dataset": self.request.dataset,
            "image": self.request.image,
            "hyperparameters": self.hyperparameters,
            "drawn": self.drawn,
            "training_input": self.request.as_input(),
            "snapshot": self.snapshot.uri if self.snapshot else None,
            "labelled": self.labelled,
            "features": self.features,
            "labels": len(self.snapshot.entries) if self.snapshot else 0,
            "new_labels": self.new_labels,
            "skipped_labels": self.snapshot.skipped.counts if self.snapshot else {},
            "disagreeing_reviewers": self.snapshot.skipped.disagreeing if self.snapshot else {},
            "champion": champion.as_state() if champion else None,
            "baseline": baseline,
            "reference": {"model_version": reference.model_version, "artifact": reference.artifact}
            if reference
            else baseline,
            "rollback_config": champion.endpoint_config if champion else "",
            "force": self.request.force,
            "dry_run": self.request.dry_run,
            "bake_s": self.bake_s,
            "rollout": self.rollout.as_deployment_config(),
            "initial": None,
            "candidate": asdict(self.candidate) if self.candidate else None,
            "model_version": self.candidate.version if self.candidate else self.model_version,
            "golden": self.request.golden,
        }
