"""The Step Functions Data Science SDK, imported without its log output, plus the fields that it does not support.

SDK 2.3.0 has no ResultSelector on most states, no MaxDelaySeconds and JitterStrategy on retriers, no ErrorPath and
CausePath on Fail, and no Distributed Map. The classes exported here take such fields as `asl={...}`, which is merged
over what the SDK renders.
"""

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _suppress_output() -> Iterator[None]:
    """Suppresses what importing the SDK prints: deprecation warnings and log lines about configuration files.

    Restores the level of the root logger, which the SDK sets to ERROR.
    """
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


# `import_module` returns Any, because neither package ships type hints.
with _suppress_output():
    steps = importlib.import_module("stepfunctions.steps")
    states = importlib.import_module("stepfunctions.steps.states")
    choice_rule = importlib.import_module("stepfunctions.steps.choice_rule")
    sagemaker = importlib.import_module("sagemaker")
    estimator = importlib.import_module("sagemaker.estimator")
    model = importlib.import_module("sagemaker.model")
    processing = importlib.import_module("sagemaker.processing")


class RawFields:
    """Mixin for the SDK's classes: `asl={"ResultSelector": …}` is merged over the rendered block."""

    def __init__(self, *args: Any, asl: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """`asl` holds raw fields of Amazon States Language; the other arguments are those of the SDK's class."""
        # Through __dict__, because the SDK's Block.__getattr__ reads `fields`, which does not exist yet.
        self.__dict__["asl"] = asl or {}
        super().__init__(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the block as the SDK renders it, updated with the raw fields."""
        rendered: dict[str, Any] = super().to_dict()  # type: ignore[misc]  # defined by the SDK's class
        return {**rendered, **self.__dict__["asl"]}


class DistributedMap(RawFields, states.Map):  # type: ignore[misc,name-defined]  # the SDK ships no type hints
    """A Map state in Distributed mode: its `iterator` becomes the ItemProcessor, which the SDK does not know."""

    def to_dict(self) -> dict[str, Any]:
        """Return the state with an ItemProcessor, whose children are Standard executions."""
        rendered = super().to_dict()
        processor: dict[str, Any] = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
        processor |= rendered.pop("Iterator")
        return {**rendered, "ItemProcessor": processor}


def _with_raw_fields(step: Any) -> Any:
    return type(step.__name__, (RawFields, step), {})


Retry = _with_raw_fields(states.Retry)
Task = _with_raw_fields(steps.Task)
LambdaStep = _with_raw_fields(steps.LambdaStep)
SqsSendMessageStep = _with_raw_fields(steps.SqsSendMessageStep)
EventBridgePutEventsStep = _with_raw_fields(steps.EventBridgePutEventsStep)
TrainingStep = _with_raw_fields(steps.TrainingStep)
ProcessingStep = _with_raw_fields(steps.ProcessingStep)
ModelStep = _with_raw_fields(steps.ModelStep)
EndpointConfigStep = _with_raw_fields(steps.EndpointConfigStep)
EndpointStep = _with_raw_fields(steps.EndpointStep)
Fail = _with_raw_fields(steps.Fail)
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
