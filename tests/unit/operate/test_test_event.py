"""`make test-event`."""

from collections.abc import Iterator

import pytest

from console.aws import Aws
from deploy.outputs import Deployed
from operate import test_event as command
from operate.errors import CommandError
from operate.terminal import console
from tests.unit import model_stage


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with model_stage.stage(monkeypatch) as found:
        model_stage.aws("events").create_event_bus(Name=found.event_bus)
        yield found


def test_it_prints_the_id_and_the_source(deployed: Deployed) -> None:
    with console.capture() as printed:
        command.send(deployed, Aws(), "Driver Routed")
    text = printed.get()
    assert text.startswith(f"Sent Driver Routed to bus {deployed.event_bus}: source scones.vehicles.test, id ")
    assert text.endswith("Rules receive it that have this source in their pattern. Those of the stage do not.\n")


def test_an_unknown_event_is_refused_with_the_known_ones(deployed: Deployed) -> None:
    with pytest.raises(CommandError, match=r"'driver routed'. There are Driver Routed, Photo"):
        command.send(deployed, Aws(), "driver routed")
