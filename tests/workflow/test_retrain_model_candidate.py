"""retrain-model compares and promotes a model of another stage, without training one."""

import io
import json
import tarfile
from typing import Any

from tests.workflow.retrain_stage import CHAMPION, RetrainStage

VERSION = "vehicles-dev-20261128-120000-abcd"
ARTIFACT = "s3://scones-ml/initial/abc/model.tar.gz"


def put_candidate(stage: RetrainStage, version: str = VERSION) -> dict[str, Any]:
    """Put the model of another stage into the ML bucket; return the input that names it."""
    packed, description = io.BytesIO(), json.dumps({"version": version, "threshold": 0.8}).encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("model.json")
        entry.size = len(description)
        archive.addfile(entry, io.BytesIO(description))
    stage.put("initial/abc/model.tar.gz", packed.getvalue())
    answer = stage.respond
    stage.stage.respond = lambda image: {**answer(image), "model_version": version}
    return {"candidate": ARTIFACT}


def test_a_better_candidate_is_promoted_without_a_training(with_champion: RetrainStage) -> None:
    with_champion.put_label("a", "bicycle")
    run = with_champion.run(**put_candidate(with_champion))
    output = run.output()
    assert (output["outcome"], output["model_version"]) == ("promoted", VERSION)
    assert output["verdict"].startswith("better than the champion")
    assert "Train" not in run.states()
    assert {"UseCandidate", "Evaluate", "JudgeChallenger", "ProbeEndpoint", "Bake", "ProbeAgain"} <= set(run.states())
    champion = with_champion.item("champion")
    assert (champion["model_version"]["S"], champion["previous"]["S"]) == (VERSION, CHAMPION)
    assert champion["artifact"]["S"] == ARTIFACT
    # It has not learned from this stage's labels: they still count as new.
    assert "S" not in champion.get("snapshot", {})
    (model,) = with_champion.sagemaker.requests_to("CreateModel")
    assert model["PrimaryContainer"]["ModelDataUrl"] == ARTIFACT
    (package,) = with_champion.sagemaker.requests_to("CreateModelPackage")
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["CustomerMetadataProperties"]["model_version"] == VERSION


def test_the_first_model_of_a_stage_may_be_a_candidate(without_champion: RetrainStage) -> None:
    assert without_champion.run(**put_candidate(without_champion)).output()["outcome"] == "promoted"
    (job,) = without_champion.sagemaker.requests_to("CreateProcessingJob")
    inputs = {one["InputName"]: one["S3Input"]["S3Uri"] for one in job["ProcessingInputs"]}
    # The input of a champion that does not exist has to hold something.
    assert inputs["challenger"] == inputs["champion"] == inputs["reference"] == ARTIFACT


def test_a_worse_candidate_is_rejected_and_its_file_is_kept(with_champion: RetrainStage) -> None:
    with_champion.accuracy = 0.90
    run = with_champion.run(**put_candidate(with_champion))
    event = with_champion.assert_champion_stays(run, "WorseThanChampion", failed=False)
    assert event["model_version"] == VERSION
    tags = with_champion.stage.aws["s3"].get_object_tagging(Bucket="scones-ml", Key="initial/abc/model.tar.gz")
    assert tags["TagSet"] == []


def test_a_candidate_that_fails_the_probe_is_rolled_back(with_champion: RetrainStage) -> None:
    request = put_candidate(with_champion)
    with_champion.stage.respond = lambda image: {**with_champion.respond(image), "model_version": "another"}
    golden = with_champion.put_golden("golden/abc/bicycle/one.jpg", b"a bicycle")
    with_champion.assert_champion_stays(with_champion.run(golden=golden, **request), "ProbeFailed", failed=True)


def test_the_champion_is_no_candidate(with_champion: RetrainStage) -> None:
    run = with_champion.run(**put_candidate(with_champion, CHAMPION))
    event = with_champion.assert_champion_stays(run, "InvalidInput", failed=True)
    assert event["verdict"] == f"{CHAMPION} is the champion of this stage already"


def test_the_next_retraining_trains_again(with_champion: RetrainStage) -> None:
    """A candidate belongs to one execution: automatic retrainings train on the data that it was judged on."""
    with_champion.put_label("a", "bicycle")
    assert with_champion.run(**put_candidate(with_champion)).output()["outcome"] == "promoted"
    assert "candidate" not in with_champion.training_input
    with_champion.stage.respond = with_champion.respond
    with_champion.accuracies[VERSION] = 0.97
    with_champion.accuracy = 0.99
    for number in range(5):
        with_champion.put_label(f"new-{number}", "bicycle")
    run = with_champion.run_with_input({"trigger": "labels"})
    assert run.output()["outcome"] == "promoted"
    assert "Train" in run.states()
