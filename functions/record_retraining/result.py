"""The result of a retraining, from the state of its execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.causes import CAUGHT_ERROR, error_message
from functions.shared.champion import CHAMPION_STATE, INITIAL, RETRAINING, Champion, Reference
from functions.shared.checks import AT_LEAST, AT_MOST
from functions.shared.shapes import (
    address,
    all_of,
    anything,
    count,
    flag,
    fraction,
    list_of,
    matching,
    number,
    object_with,
    one_of,
    optional,
    text,
    values,
)

# Expected outcomes; any other reason is a failure.
EXPECTED_OUTCOMES = {
    *("NothingNew", "NoChampion", "NoTrainingData", "TrainingDataRefused", "RetrainingRunning", "DryRun"),
    *("ChampionExists", "EndpointRepaired"),
    *("BelowMinimum", "WorseThanChampion", "BlindToAClass", "WorseThanReference", "NotBetter"),
}

INITIAL_VERDICT = "an initial model that was not compared with anything: it has no verdict"


_CHECK = object_with(
    {
        "check": text,
        "value": optional(number()),
        "limit": optional(number()),
        "direction": one_of(AT_LEAST, AT_MOST),
        "passed": flag,
    },
    closed=True,
)
_JUDGED = object_with(
    {},
    {
        "words": text,
        "checks": optional(list_of(_CHECK)),
        **dict.fromkeys(("challenger", "champion", "reference"), optional(all_of(object_with({}), anything))),
        "threshold": optional(fraction),
        "evaluation": optional(address),
        "new_reference": flag,
    },
)
# What CustomerMetadataProperties of the model registry accept, in ASCII.
_VERSION = matching(r"[A-Za-z0-9_.:/=+@-]{1,256}")
_PREPARED = object_with(
    {"snapshot": optional(address), "image": text},
    {
        "model_version": optional(_VERSION),
        "champion": optional(all_of(CHAMPION_STATE, object_with({"model_version": _VERSION}))),
        **dict.fromkeys(("initial", "candidate"), optional(object_with({}, {"threshold": optional(fraction)}))),
        "training_input": optional(all_of(object_with({}), anything)),
        "golden": optional(address),
        **dict.fromkeys(("labels", "new_labels"), optional(count)),
        "skipped_labels": optional(values(count)),
        "disagreeing_reviewers": optional(values(values(count))),
        "dry_run": flag,
    },
)
_STATE = object_with(
    {"run": object_with({"name": _VERSION})},
    {
        "prepared": _PREPARED,
        "trained": object_with({"artifact": text}),
        "judged": optional(_JUDGED),
        "error": CAUGHT_ERROR,
        "restored": optional(object_with({}, {"status": optional(text)})),
    },
)
_TRAINED = object_with({"prepared": object_with({}), "trained": object_with({})})


def check_event(event: Mapping[str, Any]) -> None:
    """Raise InvalidInput when the event of RecordRetraining does not say how the retraining ended."""
    object_with({"outcome": text, "state": _STATE})(event, "the event")
    if event["outcome"] == "promoted" or "trained" in event["state"]:
        _TRAINED(event["state"], "state")


@dataclass(frozen=True)
class RetrainingResult:
    """The result of a retraining.

    `state` is the state of the execution, `at` when it ended, `recorded` the version of the recorded champion.
    `has_reference`: a reference model is recorded.
    """

    promoted: bool
    state: Mapping[str, Any]
    execution: str
    endpoint: str
    at: str
    recorded: str | None = None
    has_reference: bool = False

    @property
    def model_version(self) -> str | None:
        """The version of the challenger; None when training did not begin or failed."""
        if "trained" not in self.state:
            return None
        return str(self._get("prepared").get("model_version") or self.state["run"]["name"])

    @property
    def champion_before(self) -> str | None:
        """The champion when the retraining began; the recorded one when it ended before BuildDataset."""
        if "prepared" not in self.state:
            return self.recorded
        champion = self._get("prepared").get("champion") or {}
        return champion.get("model_version")

    @property
    def reason(self) -> str | None:
        """Why the challenger was not promoted: the name of a group of checks or of an error; None for a promotion."""
        if self.promoted:
            return None
        error = str(self._get("error").get("Error") or "Unknown")
        # Step Functions reports every failed job with the same error name.
        if error == "States.TaskFailed" and "prepared" in self.state:
            if "trained" not in self.state:
                return "TrainingFailed"
            if "evaluated" not in self.state:
                return "EvaluationFailed"
        return error

    @property
    def failed(self) -> bool:
        """Whether the retraining failed, rather than ended with an expected outcome."""
        return self.reason is not None and self.reason not in EXPECTED_OUTCOMES

    @property
    def verdict(self) -> str:
        """The verdict of the gate for a promotion, the message of the error otherwise."""
        if self.promoted:
            return INITIAL_VERDICT if self._initial else str(self._get("judged").get("words") or "promoted")
        message = error_message(str(self._get("error").get("Cause") or ""))
        if "restored" in self.state and self._get("restored").get("status") != "InService":
            message += f" The endpoint is {self._get('restored').get('status')} instead of InService with the champion;"
            message += " `make status` shows it."
        return message or str(self.reason)

    @property
    def rejected_artifact(self) -> str | None:
        """The address of a model that was trained and not promoted; None without one, and for one that was given."""
        if self.promoted or self._initial or self._candidate or "trained" not in self.state:
            return None
        return str(self.state["trained"]["artifact"])

    @property
    def judged_snapshot(self) -> str | None:
        """The snapshot of the challenger when it was judged; None without a verdict and for a dry run."""
        return self._snapshot if self._get("judged") and not self._get("prepared").get("dry_run") else None

    @property
    def training_input(self) -> dict[str, Any]:
        """The data and code of the challenger, as the input of automatic retrainings; empty for an initial model."""
        return dict(self._get("prepared").get("training_input") or {})

    @property
    def new_champion(self) -> Champion:
        """The challenger as champion."""
        return Champion(
            model_version=str(self.model_version),
            endpoint_config=str(self.state["run"]["name"]),
            artifact=str(self.state["trained"]["artifact"]),
            snapshot=self._snapshot,
            threshold=self._threshold,
            promoted_at=self.at,
            previous=self.champion_before,
            origin=INITIAL if self._initial else RETRAINING,
            golden=self._get("prepared").get("golden"),
            training_input=self.training_input or None,
        )

    @property
    def new_reference(self) -> Reference | None:
        """The reference model to record with a promotion; None when it stays.

        The first reference is the champion before, which the challenger was compared with, or else the first champion.
        """
        if not self.promoted:
            return None
        if self._get("judged").get("new_reference"):
            return Reference.of(self.new_champion, self.at, "more accurate than the reference before")
        if self.has_reference:
            return None
        before = self._get("prepared").get("champion")
        return Reference.of(Champion.from_state(before) if before else self.new_champion, self.at, "the first champion")

    @property
    def _initial(self) -> Mapping[str, Any]:
        """The description of an initial model; empty for a model that was trained."""
        return self._get("prepared").get("initial") or {}

    @property
    def _candidate(self) -> Mapping[str, Any]:
        """The description of a model from another stage; empty for a model that was trained."""
        return self._get("prepared").get("candidate") or {}

    @property
    def _snapshot(self) -> str | None:
        """The labels that the challenger was trained on; None for a model that was not trained in this stage."""
        return None if self._candidate else self._get("prepared").get("snapshot")

    @property
    def _threshold(self) -> float | None:
        threshold: float | None = (self._initial or self._get("judged")).get("threshold")
        return threshold

    def as_event(self) -> dict[str, Any]:
        """Return the detail of `Model Promoted` or `Model Rejected`."""
        common: dict[str, Any] = {
            "model_version": self.model_version,
            "execution": self.execution,
            "verdict": self.verdict,
        }
        if checks := self._get("judged").get("checks"):
            common["checks"] = checks
        measured = self._get("judged").get("challenger") or {}
        metrics = {
            name: value
            for name, value in measured.items()
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        }
        if self.promoted:
            return {
                **common,
                "previous_model_version": self.champion_before,
                "endpoint": self.endpoint,
                "threshold": self._threshold,
                "metrics": metrics,
                "promoted_at": self.at,
            }
        rejected = {**common, "champion": self.champion_before, "reason": self.reason, "rejected_at": self.at}
        return {**rejected, "metrics": metrics} if metrics else rejected

    def as_output(self) -> dict[str, Any]:
        """Return the output of the execution."""
        judged, prepared = self._get("judged"), self._get("prepared")
        return {
            "outcome": "promoted" if self.promoted else "rejected",
            "model_version": self.model_version,
            "previous_model_version": self.champion_before,
            "origin": INITIAL if self._initial else RETRAINING,
            "reason": self.reason,
            "verdict": self.verdict,
            "checks": judged.get("checks") or [],
            "challenger": judged.get("challenger"),
            "compared_with": judged.get("champion"),
            "reference": judged.get("reference"),
            "new_reference": self.new_reference.model_version if self.new_reference else None,
            "evaluation": judged.get("evaluation"),
            "snapshot": prepared.get("snapshot"),
            "labels": prepared.get("labels"),
            "new_labels": prepared.get("new_labels"),
            "skipped_labels": prepared.get("skipped_labels") or {},
            "disagreeing_reviewers": prepared.get("disagreeing_reviewers") or {},
            "endpoint": self.endpoint,
            "execution": self.execution,
            "ended_at": self.at,
        }

    def _get(self, name: str) -> Mapping[str, Any]:
        return self.state.get(name) or {}
