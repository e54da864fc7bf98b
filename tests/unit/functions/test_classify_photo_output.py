"""ClassifyPhoto: its log lines and metrics."""

from collections.abc import Callable

import pytest

from functions.shared.errors import InvalidInput, ModelUnavailable
from tests.unit.functions.stack import ANOTHER_EXECUTION, EXECUTION, Function, FunctionOutput, ModelServer, Stack


def test_each_classified_photo_is_counted_with_the_models_version_as_metadata(
    stack: Stack, classify: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    classify(photo=photo.as_state())
    (line,) = output().metrics("PhotosClassified")
    definition = line["_aws"]["CloudWatchMetrics"][0]
    assert definition["Namespace"] == "Scones/Vehicles"
    assert {*definition["Dimensions"][0]} == {"service", "stage"}
    assert {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]} == {
        "PhotosClassified": "Count",
        "Confidence": "None",
        "ModelUnavailable": "Count",
        "SentToReview": "Count",
        "EndpointLatency": "Milliseconds",
    }
    assert (line["service"], line["PhotosClassified"], line["Confidence"]) == ("classify-photo", [1.0], [0.97])
    assert (line["SentToReview"], line["ModelUnavailable"]) == ([0.0], [0.0])
    assert line["EndpointLatency"][0] > 0
    assert (line["model_version"], line["photo_id"]) == ("model-1", photo.photo_id)


def test_a_photo_that_the_model_is_unsure_of_is_counted(
    stack: Stack, classify: Function, model: ModelServer, output: Callable[[], FunctionOutput]
) -> None:
    model.set_probabilities(bicycle=0.6, motorcycle=0.3, other=0.1)
    classify(photo=stack.upload().as_state())
    (line,) = output().metrics("SentToReview")
    assert line["SentToReview"] == [1.0]


def test_a_decided_photo_is_not_counted_again(
    stack: Stack, classify: Function, assign_bay: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    assign_bay(photo=photo.as_state(), vehicle=None, decided_by="fallback")
    output()
    classify(execution=ANOTHER_EXECUTION, photo=photo.as_state())
    assert output().metrics("PhotosClassified") == []


def test_log_lines_have_the_execution_and_the_photo(
    stack: Stack, classify: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    classify(photo=photo.as_state())
    classified, routed = output().log
    for line in (classified, routed):
        assert line["correlation_id"] == EXECUTION
        assert line["photo_id"] == photo.photo_id
    assert (classified["service"], classified["outcome"]) == ("classify-photo", "decided")
    assert classified["vehicle"] == "bicycle"
    assert (routed["message"], routed["loading_bay"]) == ("driver routed", "Bay A")


def test_a_decision_of_the_model_is_counted_by_bay(
    stack: Stack, classify: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    classify(photo=photo.as_state())
    (line,) = output().metrics("DriversRouted")
    assert {*line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]} == {"service", "stage", "loading_bay", "decided_by"}
    assert (line["service"], line["loading_bay"], line["decided_by"]) == ("classify-photo", "Bay A", "model")
    classify(photo=photo.as_state())
    assert output().metrics("DriversRouted") == []


def test_a_failure_is_logged_once_and_its_photo_is_not_in_later_lines(
    stack: Stack, classify: Function, model: ModelServer, output: Callable[[], FunctionOutput]
) -> None:
    model.set_error(503, "ServiceUnavailable")
    photo = stack.upload()
    with pytest.raises(ModelUnavailable):
        classify(photo=photo.as_state())
    (line,) = output().log
    assert (line["level"], line["error"], line["photo_id"]) == ("ERROR", "ModelUnavailable", photo.photo_id)
    with pytest.raises(InvalidInput):
        classify(photo=None)
    assert "photo_id" not in output().log[0]
