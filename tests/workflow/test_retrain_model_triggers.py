"""An automatic retraining trains only with a champion and enough new labels."""

import pytest

from tests.workflow.retrain_stage import CHAMPION, RetrainStage


@pytest.mark.parametrize("trigger", ["schedule", "labels", "drift"])
def test_an_automatic_retraining_without_new_labels_does_not_train(with_champion: RetrainStage, trigger: str) -> None:
    with_champion.assert_champion_stays(with_champion.run(trigger=trigger), "NothingNew", failed=False)
    assert with_champion.sagemaker.requests_to("CreateTrainingJob") == []


def test_new_labels_start_one_retraining(with_champion: RetrainStage) -> None:
    photos = [with_champion.put_label(f"photo-{number}", "bicycle") for number in range(5)]
    output = with_champion.run(trigger="labels").output()
    assert (output["outcome"], output["new_labels"]) == ("promoted", len(photos))
    again = with_champion.run(trigger="labels").output()
    assert (again["reason"], again["new_labels"]) == ("NothingNew", 0)


@pytest.mark.parametrize("trigger", ["schedule", "labels", "drift"])
def test_without_a_champion_only_a_manual_retraining_trains(without_champion: RetrainStage, trigger: str) -> None:
    for number in range(5):
        without_champion.put_label(f"photo-{number}", "bicycle")
    for _ in range(2):
        assert without_champion.run_with_input({"trigger": trigger}).output()["reason"] == "NoChampion"
        assert without_champion.run(trigger=trigger, force=True).output()["reason"] == "NoChampion"
    assert without_champion.sagemaker.requests_to("CreateTrainingJob") == []
    assert without_champion.lock is None
    assert without_champion.run().output()["outcome"] == "promoted"


def test_labels_of_a_rejected_challenger_start_no_further_retraining(with_champion: RetrainStage) -> None:
    with_champion.accuracy = 0.90
    for number in range(5):
        with_champion.put_label(f"photo-{number}", "bicycle")
    assert with_champion.run(trigger="labels").output()["reason"] == "WorseThanChampion"
    for trigger in ("labels", "schedule", "drift"):
        output = with_champion.run(trigger=trigger).output()
        assert (output["reason"], output["new_labels"]) == ("NothingNew", 5)
    assert len(with_champion.sagemaker.requests_to("CreateTrainingJob")) == 1
    # A manual retraining needs no new labels. One new label is enough for the schedule, but not for the label count.
    assert with_champion.run().output()["reason"] == "WorseThanChampion"
    with_champion.put_label("photo-5", "bicycle")
    assert with_champion.run(trigger="labels").output()["reason"] == "NothingNew"
    with_champion.accuracy = 0.97
    assert with_champion.run(trigger="schedule").output()["outcome"] == "promoted"


def test_labels_of_any_rejected_challenger_start_no_further_retraining(with_champion: RetrainStage) -> None:
    """The last judged snapshot does not have the labels of the one before, because it is one of fewer vehicles."""
    with_champion.accuracy = 0.90
    for number in range(5):
        with_champion.put_label(f"bicycle-{number}", "bicycle")
        with_champion.put_label(f"motorcycle-{number}", "motorcycle")
    assert with_champion.run().output()["reason"] == "WorseThanChampion"
    output = with_champion.run(classes=["bicycle"]).output()
    assert (output["reason"], output["labels"]) == ("WorseThanChampion", 5)
    assert output["skipped_labels"] == {"UnknownVehicle": 5}
    for trigger in ("labels", "schedule", "drift"):
        output = with_champion.run(trigger=trigger).output()
        assert (output["reason"], output["labels"], output["new_labels"]) == ("NothingNew", 10, 10)
    assert len(with_champion.sagemaker.requests_to("CreateTrainingJob")) == 2


def test_labels_of_a_rolled_back_model_start_no_further_retraining(with_champion: RetrainStage) -> None:
    """The last judged snapshot does not have these labels, because it is one of fewer vehicles."""
    for number in range(5):
        with_champion.put_label(f"bicycle-{number}", "bicycle")
        with_champion.put_label(f"motorcycle-{number}", "motorcycle")
    assert with_champion.run().output()["outcome"] == "promoted"
    with_champion.accuracy = 0.90
    assert with_champion.run(classes=["bicycle"]).output()["reason"] == "WorseThanChampion"
    with_champion.accuracy = 0.97
    assert with_champion.stage.start(with_champion.stage.deploy_rollback(), {}).output()["champion"] == CHAMPION
    for trigger in ("labels", "schedule", "drift"):
        output = with_champion.run_with_input({"trigger": trigger}).output()
        assert (output["reason"], output["new_labels"]) == ("NothingNew", 10)
    with_champion.put_label("bicycle-5", "bicycle")
    output = with_champion.run_with_input({"trigger": "schedule"}).output()
    assert (output["outcome"], output["new_labels"]) == ("promoted", 11)


def test_after_a_dry_run_its_labels_still_start_a_retraining(with_champion: RetrainStage) -> None:
    for number in range(5):
        with_champion.put_label(f"photo-{number}", "bicycle")
    assert with_champion.run(dry_run=True).output()["reason"] == "DryRun"
    assert with_champion.run(trigger="labels").output()["outcome"] == "promoted"


@pytest.mark.parametrize("missing", [True, False])
def test_a_repair_puts_the_endpoint_back_and_trains_nothing(with_champion: RetrainStage, missing: bool) -> None:
    for number in range(5):
        with_champion.put_label(f"photo-{number}", "bicycle")
    sagemaker = with_champion.sagemaker
    sagemaker.config = None if missing else "left-by-a-stopped-retraining"
    output = with_champion.run_with_input({"trigger": "repair"}).output()
    assert (output["outcome"], output["reason"]) == ("rejected", "EndpointRepaired")
    assert (sagemaker.status, sagemaker.config) == ("InService", CHAMPION)
    assert sagemaker.requests_to("CreateTrainingJob") == []
    assert with_champion.lock is None


def test_a_repair_without_a_champion_changes_nothing(without_champion: RetrainStage) -> None:
    assert without_champion.run_with_input({"trigger": "repair"}).output()["reason"] == "NoChampion"
    assert without_champion.sagemaker.requests_to("CreateEndpoint") == []
