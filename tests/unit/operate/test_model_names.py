"""Short names of models."""

import pytest

from operate.errors import CommandError
from operate.model_names import find_model, short_name

MODELS = ["vehicles-dev-20261123-022200-4f1a", "vehicles-dev-20261124-022200-99ab", "vehicles-dev-20261125-022200-99ab"]


@pytest.mark.parametrize("model", MODELS[:1])
def test_a_short_name_means_the_model_that_it_is_the_end_of(model: str) -> None:
    assert find_model(short_name(model), MODELS) == model
    assert find_model(model, MODELS) == model


def test_a_short_name_of_two_models_is_refused_with_their_names() -> None:
    with pytest.raises(CommandError, match=f"2 models are called 99ab: {MODELS[1]}, {MODELS[2]}"):
        find_model("99ab", MODELS)
    assert find_model("20261124-022200-99ab", MODELS) == MODELS[1]


def test_a_name_that_no_model_has_is_left_to_the_workflow_which_knows_why() -> None:
    assert find_model("4f", MODELS) == "4f"
