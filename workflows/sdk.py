"""The Step Functions Data Science SDK, imported quietly, plus the parts of Amazon States Language it does not know.

SDK 2.3.0 predates ResultSelector on every state, MaxDelaySeconds and JitterStrategy on retriers, and ErrorPath and
CausePath on Fail. `RawFields` adds them: whatever is given as `asl=` is merged over what the SDK writes.
"""

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _quiet() -> Iterator[None]:
    """Importing the SDK sets the root logger to ERROR, warns about its own age and reports on configuration files."""
    root, level, disabled = logging.getLogger(), logging.getLogger().level, logging.root.manager.disable
    logging.disable(logging.INFO)
    os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(disabled)
            root.setLevel(level)


# Imported by name because neither package ships types: everything taken from them is Any, and says so here once.
with _quiet():
    steps = importlib.import_module("stepfunctions.steps")
    states = importlib.import_module("stepfunctions.steps.states")
    choice_rule = importlib.import_module("stepfunctions.steps.choice_rule")
    sagemaker = importlib.import_module("sagemaker")
    estimator = importlib.import_module("sagemaker.estimator")
    model = importlib.import_module("sagemaker.model")
    model_monitor = importlib.import_module("sagemaker.model_monitor")
    processing = importlib.import_module("sagemaker.processing")


class RawFields:
    """Mixin for SDK blocks: `asl={"ResultSelector": …}` is merged over the rendered block."""

    def __init__(self, *args: Any, asl: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # Through __dict__, because the SDK's Block.__getattr__ looks into a `fields` that does not exist yet.
        self.__dict__["asl"] = asl or {}
        super().__init__(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """The block as the SDK renders it, with the raw fields over it."""
        rendered: dict[str, Any] = super().to_dict()  # type: ignore[misc]  # the SDK class this is mixed into has it
        return {**rendered, **self.__dict__["asl"]}


def _extended(step: Any) -> Any:
    return type(step.__name__, (RawFields, step), {})


Retry = _extended(states.Retry)
Task = _extended(steps.Task)
LambdaStep = _extended(steps.LambdaStep)
SqsSendMessageStep = _extended(steps.SqsSendMessageStep)
EventBridgePutEventsStep = _extended(steps.EventBridgePutEventsStep)
TrainingStep = _extended(steps.TrainingStep)
ProcessingStep = _extended(steps.ProcessingStep)
ModelStep = _extended(steps.ModelStep)
EndpointConfigStep = _extended(steps.EndpointConfigStep)
EndpointStep = _extended(steps.EndpointStep)
Fail = _extended(steps.Fail)
Catch, Chain, Choice, ChoiceRule, Graph, Pass, Succeed, Wait = (
    steps.Catch,
    steps.Chain,
    steps.Choice,
    steps.ChoiceRule,
    states.Graph,
    steps.Pass,
    steps.Succeed,
    steps.Wait,
)
