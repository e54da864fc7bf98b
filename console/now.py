"""The state of a stage as rows, each with a colour and one action: the Now page, and `make status`.

`Figures` are what `console.now_reader` read, `rows` says what they mean. Nothing here calls AWS.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from enum import Enum
from typing import Any, TypeVar

from console.durations import whole_seconds
from console.now_figures import (
    CLASSIFY,
    ROLLBACK,
    Alarm,
    Endpoint,
    Execution,
    Figures,
    Messages,
    Unreadable,
    Waiting,
)
from functions.shared.champion import Champion

UNACCOUNTED = "unaccounted-photos"
"""The alarm on photos that a reconciliation found without an outcome."""

SLOW_WAIT_S = 120.0
LONG_WAIT_S = 600.0
"""How long a driver may wait for a reviewer: the threshold of the alarm waiting-drivers."""

TITLES = {
    "endpoint": "Endpoint",
    "waiting": "Waiting drivers",
    "reviews": "Review queue",
    "unrouted": "Photos without an outcome",
    "failed": "Failed requests",
    "unaccounted": "Unaccounted photos",
    "failures": "Failed executions",
    "retraining": "Last retraining",
    "alarms": "Alarms",
    "deployment": "Deployment",
}
"""The titles of the rows by name, in the order in which to look at them."""

_JSON = ("name", "title", "text", "action", "command")
_STATUS = "make status"  # shows the rows, so it is no command to run next
_MAINTENANCE = "maintenance"
_CHANGING = {"Creating", "Updating", "SystemUpdating", "RollingBack"}
_PAGE = "page"
_COMMAND = re.compile(r"`(make [^`<]+)`")

T = TypeVar("T")


class State(Enum):
    """How urgent a row is, from the least to the most urgent."""

    OK = "ok"
    UNKNOWN = "unknown"
    ATTENTION = "attention"
    ACT = "act now"

    @property
    def urgency(self) -> int:
        """A number that is larger for a more urgent state."""
        return list(State).index(self)


@dataclass(frozen=True)
class Row:
    """One line: what it is about, how urgent it is, what is so, and what to do.

    `action` is a sentence or empty, `command` the command to run, `link` the page of the console to open; both are
    empty where there is none. `is_repair`: the command puts the endpoint back, which operators can also do on the page.
    """

    name: str
    title: str
    state: State
    text: str
    action: str = ""
    command: str = ""
    link: str = ""
    is_repair: bool = False


def rows(figures: Figures) -> list[Row]:
    """Return the rows of the figures, in the order in which to look at them."""
    return list(_Rows(figures).all())


def worst(found: Sequence[Row]) -> State:
    """Return the most urgent state of the rows."""
    return max((row.state for row in found), key=lambda state: state.urgency)


def next_step(found: Sequence[Row]) -> str:
    """Return what to do first, as text: the first of the most urgent rows, those last that only wait for data.

    >>> next_step([Row("a", "A", State.OK, "fine"), Row("b", "B", State.ACT, "2 photos are lost.", command="make x")])
    '2 photos are lost: make x'
    >>> next_step([Row("a", "A", State.OK, "fine")])
    'nothing to do'
    """
    open_rows = [row for row in found if row.command or row.action or row.state is not State.OK]
    if not open_rows:
        return "nothing to do"

    def urgency(row: Row) -> int:
        waits = row.state is State.UNKNOWN and not (row.command or row.action)
        return -1 if waits else row.state.urgency

    row = max(open_rows, key=urgency)  # the first of equals
    action = row.command or row.action
    return f"{row.text.rstrip('.')}: {action}" if action else row.text


def as_json(figures: Figures, found: Sequence[Row]) -> dict[str, Any]:
    """Return the figures and the rows as JSON values for other programs; a figure that was not read is null."""
    kept = ("waiting", "reviews", "audits", "unrouted", "failed", "failures")
    values = {name: _plain(getattr(figures, name)) for name in kept}
    champion, alarms = figures.champion, figures.alarms
    return {
        "stage": figures.stage,
        "account": figures.account,
        "region": figures.region,
        "read_at": figures.read_at.isoformat(timespec="seconds"),
        "state": worst(found).value,
        "next": next_step(found),
        "rows": [{**{name: getattr(row, name) for name in _JSON}, "state": row.state.value} for row in found],
        "figures": {
            **values,
            "endpoint": _plain(figures.endpoint),
            "champion": champion.model_version if isinstance(champion, Champion) else None,
            "in_alarm": None if isinstance(alarms, Unreadable) else [one.name for one in alarms if one.is_on],
        },
    }


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "photo"), counted(2, "photo")
    ('1 photo', '2 photos')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _plain(value: Any) -> Any:
    if isinstance(value, Unreadable):
        return None
    return asdict(value) if isinstance(value, Endpoint | Waiting | Messages) else value


class _Rows:
    """Makes the rows of one reading."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._stage = "" if figures.stage == "dev" else f" STAGE={figures.stage}"

    def all(self) -> Iterator[Row]:
        found = self._figures
        yield self._endpoint(found.endpoint, found.champion)
        yield self._read("waiting", found.waiting, self._waiting)
        yield self._read("reviews", found.reviews, self._reviews)
        yield self._read("unrouted", found.unrouted, self._unrouted)
        yield self._read("failed", found.failed, self._failed)
        yield self._read("unaccounted", found.alarms, self._unaccounted)
        yield self._read("failures", found.failures, self._failures)
        yield self._read("retraining", found.retraining, self._retraining)
        if isinstance(found.alarms, Unreadable):
            yield self._row("alarms", State.UNKNOWN, found.alarms.why)
        else:
            deploying = any(one.is_on for one in found.alarms if one.name == _MAINTENANCE)
            yield from self._alarms([one for one in found.alarms if one.name != _MAINTENANCE], deploying=deploying)
            if deploying:
                yield self._row("deployment", State.OK, "A deployment runs. Until it ends, no alarm notifies.")

    def _row(self, name: str, state: State, text: str, command: str = "", link: str = "", **more: Any) -> Row:
        return Row(name, TITLES[name], state, text, command=self._command(command), link=link, **more)

    def _command(self, command: str) -> str:
        return f"{command}{self._stage}" if command else ""

    def _read(self, name: str, figure: T | Unreadable, make: Callable[[T], Row]) -> Row:
        """Return the row of a figure. One that was not read is unknown, and the others are shown all the same."""
        return self._row(name, State.UNKNOWN, figure.why) if isinstance(figure, Unreadable) else make(figure)

    def _endpoint(self, endpoint: Endpoint | Unreadable, champion: Champion | Unreadable | None) -> Row:
        if isinstance(endpoint, Unreadable):
            return self._row("endpoint", State.UNKNOWN, endpoint.why)
        if isinstance(champion, Unreadable):
            return self._row("endpoint", State.UNKNOWN, champion.why)
        if endpoint.is_serving:
            return self._serving(endpoint, champion)
        name = self._figures.endpoint_name
        if endpoint.status == "Creating":
            text = f"{name} is being created. Photos go to review until it is in service."
            return self._row("endpoint", State.ATTENTION, text)
        if champion is None:
            text = "No model is in production, so every photo goes to review."
            return self._row("endpoint", State.ATTENTION, text, "make retrain")
        what = "is gone" if endpoint.status is None else f"is {endpoint.status}"
        text = f"{name} {what}, so every photo goes to review. It should serve {champion.model_version}."
        return self._row("endpoint", State.ACT, text, "make repair", is_repair=True)

    def _serving(self, endpoint: Endpoint, champion: Champion | None) -> Row:
        text = f"{endpoint.status} with {counted(endpoint.instances, 'instance')}, serving {endpoint.config}."
        if champion is None or endpoint.config == champion.endpoint_config or endpoint.status in _CHANGING:
            return self._row("endpoint", State.OK, text)
        retraining = self._figures.retraining
        if isinstance(retraining, Execution) and retraining.status == "RUNNING":
            return self._row("endpoint", State.OK, f"{text} A retraining tries a new model.")
        text += f" The recorded champion is {champion.model_version}."
        return self._row("endpoint", State.ATTENTION, text, "make repair", is_repair=True)

    def _waiting(self, waiting: Waiting) -> Row:
        if waiting.oldest_s is None:
            return self._row("waiting", State.OK, "No driver waits for a reviewer.")
        seconds = waiting.oldest_s
        state = State.ACT if seconds > LONG_WAIT_S else State.ATTENTION if seconds > SLOW_WAIT_S else State.OK
        photos = "1 photo waits" if waiting.drivers == 1 else f"{waiting.drivers:,} photos wait"
        return self._row("waiting", state, f"{photos}, the first for {whole_seconds(seconds)}.", "make review", "/")

    def _reviews(self, reviews: Messages) -> Row:
        text = f"{counted(reviews.visible, 'request')} in the queue, {reviews.in_flight:,} open in a console"
        audits = self._figures.audits
        more = f"; {counted(audits.all, 'audit')}" if isinstance(audits, Messages) else ""
        return self._row("reviews", State.OK, f"{text}{more}.")

    def _unrouted(self, photos: int) -> Row:
        if not photos:
            return self._row("unrouted", State.OK, "No execution left a photo without one.")
        # A message may be missing, as after somebody removed it: a reconciliation restarts the photo all the same.
        command = "make reconcile" if self._figures.failed == 0 else "make redrive"
        text = f"The executions of {counted(photos, 'photo')} failed."
        return self._row("unrouted", State.ACT, text, command, "/photos?status=unrouted")

    def _failed(self, messages: int) -> Row:
        if not messages:
            return self._row("failed", State.OK, "The queues of failed requests are empty.")
        text = f"{counted(messages, 'failed request')} to look at."
        return self._row("failed", State.ACT, text, "make redrive LIST=yes", "/dead-letters")

    def _unaccounted(self, alarms: Sequence[Alarm]) -> Row:
        state = next((one.state for one in alarms if one.name == UNACCOUNTED), "INSUFFICIENT_DATA")
        if state == "ALARM":
            text = "The last reconciliation found photos without an outcome."
            return self._row("unaccounted", State.ACT, text, "make reconcile")
        text = "The last reconciliation accounted for every photo."
        return self._row("unaccounted", State.OK, text if state == "OK" else "No reconciliation has ended yet.")

    def _failures(self, failures: Mapping[str, int]) -> Row:
        listed = ", ".join(f"{number:,} of {workflow}" for workflow, number in failures.items() if number)
        if not listed:
            return self._row("failures", State.OK, "None in the last 24 hours.")
        text = f"{listed} in the last 24 hours."
        if failures.get(ROLLBACK):
            action = "Read why in Step Functions, then repeat the rollback."
            return self._row("failures", State.ACT, text, "make rollback", action=action)
        if failures.get(CLASSIFY) and (self._figures.unrouted, self._figures.failed) != (0, 0):
            return self._row("failures", State.ATTENTION, text, "make redrive LIST=yes", "/dead-letters")
        return self._row("failures", State.OK, f"{text} Nothing of them is left to do.")

    def _retraining(self, last: Execution | None) -> Row:
        if last is None:
            return self._row("retraining", State.OK, "There was none in the last 90 days.")
        if last.status == "RUNNING":
            seconds = (self._figures.read_at - last.started_at).total_seconds()
            return self._row("retraining", State.OK, f"Running for {whole_seconds(seconds)}.")
        ended = f"{last.ended_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if last.ended_at else "an unknown time"
        if last.status == "SUCCEEDED":
            return self._row("retraining", State.OK, f"Ended as {last.outcome or 'succeeded'} at {ended}.")
        text = f"Ended as {last.status} at {ended}. The champion stays."
        return self._row("retraining", State.ATTENTION, text, "make retrain")

    def _alarms(self, alarms: Sequence[Alarm], *, deploying: bool) -> Iterator[Row]:
        on = sorted((one for one in alarms if one.is_on), key=lambda one: (one.level != _PAGE, one.name))
        if not on:
            yield self._row("alarms", State.OK, f"None of {len(alarms)} is in ALARM.")
        for alarm in on:
            if deploying and alarm.without_data:
                text = "It has no data yet, as in the first minutes of a stage."
                yield Row(f"alarm-{alarm.name}", f"Alarm {alarm.name}", State.UNKNOWN, text)
                continue
            state = State.ACT if alarm.level == _PAGE else State.ATTENTION
            command = self._command(next((one for one in _COMMAND.findall(alarm.action) if one != _STATUS), ""))
            yield Row(f"alarm-{alarm.name}", f"Alarm {alarm.name}", state, alarm.meaning, alarm.action, command)
