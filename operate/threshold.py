"""The operating point of the champion: what its threshold costs and saves, and what another one would."""

import json
import shlex
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from console import monitoring, tradeoff
from console.aws import Aws
from console.champion import ChampionReader, Model, Serving
from console.decisions import Decisions
from console.labels import Labels
from console.monitoring import Observed
from console.tradeoff import Policy, TradeOff
from deploy.outputs import Deployed
from functions.classify_photo.threshold import MAX_AGE_S, MODELS_OWN
from operate.errors import CommandError
from operate.show import console


def parse(at: str) -> float | str | None:
    """The value of AT: a threshold in [0, 1], `model` for the model's own, or None when it is empty.

    Raises CommandError for anything else.

    >>> parse("0.95"), parse("model"), parse("")
    (0.95, 'model', None)
    """
    text = at.strip()
    if not text or text == MODELS_OWN:
        return text or None
    try:
        value = tradeoff.share(float(text))
    except ValueError:
        value = None
    if value is None:
        raise CommandError(f"AT is {at!r}. Use a number from 0 to 1, such as AT=0.95, or AT=model for the model's own.")
    return value


def run(resources: Deployed, aws: Aws, report: Path, *, at: str = "", is_local: bool = False) -> dict[str, Any]:
    """Print the trade-off and what `at` would change, and write both to `report`, which is also returned.

    Sets nothing. Raises CommandError when there is no champion or `at` is no threshold.
    """
    wanted = parse(at)
    serving = ChampionReader(resources, aws).read(history=False)
    if serving.error:
        raise CommandError(f"The champion cannot be read. {serving.error}. Try again.")
    champion = serving.champion
    if champion is None:
        raise CommandError(f"There is no endpoint {resources.endpoint_name}. Train a model first: `make retrain`.")
    seen = monitoring.of_model(
        Decisions(resources, aws), Labels(resources.ml_bucket, aws.s3), champion.version, _since(serving)
    )
    trade_off = TradeOff.of(champion, serving.threshold)
    policy = Policy.of(champion)
    new = champion.threshold if wanted == MODELS_OWN else wanted
    if wanted == MODELS_OWN and new is None:
        raise CommandError(f"{champion.version} brings no threshold of its own. Give a number: make threshold AT=0.95")
    assert not isinstance(new, str)
    recent = _recent(seen, _thresholds(trade_off, champion, serving, new))
    result: dict[str, Any] = {
        "champion": champion.version,
        "chosen": champion.threshold,
        "in_force": serving.threshold,
        "set_by_an_operator": serving.overridden,
        "policy": asdict(policy) if policy else None,
        "operating_points": [
            {**asdict(row.point), "reviews_per_1000": row.expected_reviews, "marks": row.marks}
            for row in (trade_off.rows([new] if new is not None else []) if trade_off else [])
        ],
        "recent_photos": recent,
    }
    _show_model(champion, serving, trade_off, policy, resources.threshold_parameter, new)
    _show_recent(seen, recent["thresholds"], champion, serving)
    if wanted is not None and new is not None:
        region = aws.ssm.meta.region_name
        command = _command(resources.threshold_parameter, MODELS_OWN if wanted == MODELS_OWN else f"{new:g}", region)
        change = _change(trade_off, seen, serving.threshold, new) | {"command": command}
        result["change"] = change
        _show_change(change, trade_off, seen, is_local)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(f"Written to {report}", soft_wrap=True)
    return result


def _since(serving: Serving) -> datetime | None:
    record = serving.record(serving.champion)
    at = record and (record.restored_at or record.promoted_at)
    return datetime.fromisoformat(at) if at else None


def _thresholds(trade_off: TradeOff | None, champion: Model, serving: Serving, new: float | None) -> list[float]:
    """The thresholds of the table of recent photos, rising."""
    measured = [row.point.threshold for row in trade_off.rows()] if trade_off else list(tradeoff.SHOWN)
    return sorted({*measured, *(one for one in (champion.threshold, serving.threshold, new) if one is not None)})


def _recent(seen: Observed, thresholds: list[float]) -> dict[str, Any]:
    effects = [tradeoff.effect(seen, threshold) for threshold in thresholds]
    return {
        "photos": len(seen.points) + seen.unanswered,
        "without_an_answer": seen.unanswered,
        "judged_by_other_models": seen.others,
        "first": seen.points[0].at.isoformat() if seen.points else None,
        "last": seen.points[-1].at.isoformat() if seen.points else None,
        "thresholds": [asdict(one) | {"reviews_per_1000": one.reviews_per_1000} for one in effects],
    }


def _change(trade_off: TradeOff | None, seen: Observed, now: float | None, new: float) -> dict[str, Any]:
    """Everything that a change of the threshold from `now` to `new` is known to mean, each as [now, new]."""
    points = [trade_off.at(value) if trade_off else None for value in (now, new)]
    policy = trade_off.policy if trade_off else None
    effects = [None if value is None or not _photos(seen) else tradeoff.effect(seen, value) for value in (now, new)]
    return {
        "threshold": [now, new],
        "expected_reviews_per_1000": [policy.expected_reviews(one) if policy and one else None for one in points],
        "recent_reviews_per_1000": [one.reviews_per_1000 if one else None for one in effects],
        "decided": [one.decided if one else None for one in points],
        "wrong": [one.wrong if one else None for one in points],
        "wrong_upper": [one.wrong_upper if one else None for one in points],
        "others_accepted": [one.others_accepted if one else None for one in points],
        "others_accepted_upper": [one.others_accepted_upper if one else None for one in points],
        "against_the_policy": policy.problems(points[1]) if policy and points[1] else [],
    }


def _command(parameter: str, value: str, region: str) -> str:
    """The AWS CLI command that sets the threshold in force.

    >>> _command("/scones/dev/threshold", "0.95", "eu-west-1")
    'aws ssm put-parameter --region eu-west-1 --name /scones/dev/threshold --type String --overwrite --value 0.95'
    """
    options = ["--region", region, "--name", parameter, "--type", "String", "--overwrite", "--value", value]
    return shlex.join(["aws", "ssm", "put-parameter", *options])


def _show_model(
    champion: Model,
    serving: Serving,
    trade_off: TradeOff | None,
    policy: Policy | None,
    parameter: str,
    new: float | None,
) -> None:
    _say(f"Champion {champion.version}. Its own threshold: {_threshold(champion.threshold)}.")
    who = f"set by an operator in {parameter}" if serving.overridden else "the model's own"
    _say(f"Threshold in force: {_threshold(serving.threshold)}, {who}.")
    _say(f"Policy: {policy.words}" if policy else "The model states no policy: it is older than the policy.")
    if trade_off is None:
        _say("The model's report has no trade-off. Models that `make retrain` trains from now on have one.")
        return
    grid = Table(title="The trade-off, measured on photos that the model had not learned from", title_justify="left")
    headings = ("threshold", "", "decided\nwithout\na person", "wrong among\ndecided", "other photos\nlet through")
    for heading in (*headings, "reviews\nper 1,000\nphotos"):
        grid.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    for row in trade_off.rows([new] if new is not None else []):
        point = row.point
        grid.add_row(
            f"{point.threshold:.3f}",
            ", ".join(row.marks),
            f"{point.decided:.1%}",
            tradeoff.bounded(point.wrong, point.wrong_upper),
            tradeoff.bounded(point.others_accepted, point.others_accepted_upper),
            _count(row.expected_reviews),
            style="bold" if row.marks else None,
        )
    console.print(grid)
    _say("≤: upper end of a one-sided 90% confidence interval.")
    for name, value in (("chosen", champion.threshold), ("in force", serving.threshold)):
        nearest = trade_off.at(value)
        if value is not None and nearest is None:
            _say(f"The threshold {name}, {value:g}, is outside of what was measured.")
        elif value is not None and nearest and abs(nearest.threshold - value) > 1e-9:
            _say(f"The threshold {name} is {value:g}; {nearest.threshold:.3f} is the nearest that was measured.")


def _show_recent(seen: Observed, effects: list[dict[str, Any]], champion: Model, serving: Serving) -> None:
    if not _photos(seen):
        others = f" ({seen.others} by other models)" if seen.others else ""
        _say(
            f"{champion.version} has judged no photo of this stage in the last {monitoring.DAYS} days{others}. "
            "Upload some, then ask again: make upload PHOTOS=<file or folder>"
        )
        return
    when = f", {seen.points[0].at:%Y-%m-%d %H:%M} to {seen.points[-1].at:%Y-%m-%d %H:%M} UTC" if seen.points else ""
    grid = Table(
        title=f"The {_photos(seen):,} photos of this stage that the champion judged{when}", title_justify="left"
    )
    for heading in ("threshold", "", "reviews per 1,000 photos", "labelled and at or above it", "of these wrong"):
        grid.add_column(heading, justify="right" if heading else "left")
    for one in effects:
        marks = [
            name
            for name, value in ((tradeoff.CHOSEN, champion.threshold), (tradeoff.IN_FORCE, serving.threshold))
            if value is not None and abs(value - one["threshold"]) < 1e-9
        ]
        wrong = str(one["wrong"]) if one["labelled"] else "–"
        grid.add_row(
            f"{one['threshold']:.3f}",
            ", ".join(marks),
            _count(one["reviews_per_1000"]),
            str(one["labelled"]),
            wrong,
            style="bold" if marks else None,
        )
    console.print(grid)
    if seen.unanswered:
        _say(
            f"{seen.unanswered} of them went to a person who has not answered. The model's confidence in them is not "
            "recorded, so they count as reviews at every threshold. Answer them: make review"
        )
    if any(point.agrees is not None for point in seen.points):
        _say("People label what goes to them: above the threshold in force few photos or none are labelled.")
    else:
        _say("No reviewer has labelled any of them, so nothing is known about wrong answers among them.")


def _show_change(change: dict[str, Any], trade_off: TradeOff | None, seen: Observed, is_local: bool) -> None:
    now, new = change["threshold"]
    grid = Table(title=f"A change from {_threshold(now)} to {_threshold(new)}", title_justify="left")
    for heading in ("", "now", "then"):
        grid.add_column(heading, justify="right" if heading else "left")
    if trade_off:
        grid.add_row("reviews per 1,000 photos, expected", *map(_count, change["expected_reviews_per_1000"]))
    if _photos(seen):
        heading = f"reviews per 1,000, on the {_photos(seen):,} recent photos"
        grid.add_row(heading, *map(_count, change["recent_reviews_per_1000"]))
    if trade_off:
        for name, heading in (("wrong", "wrong among decided"), ("others_accepted", "other photos let through")):
            pairs = zip(change[name], change[f"{name}_upper"], strict=True)
            grid.add_row(f"{heading}, expected", *(tradeoff.bounded(*pair) for pair in pairs))
    if grid.row_count:
        console.print(grid)
    else:
        _say("What the change would mean is not known: the model has no trade-off, and no photo was judged.")
    for problem in change["against_the_policy"]:
        _say(f"Against the policy: {problem}")
    where = ' (after eval "$(make -s credentials)")' if is_local else ""
    _say(f"Nothing was changed. To change it{where}; it takes effect within {MAX_AGE_S} s:")
    _say(f"  {change['command']}")


def _photos(seen: Observed) -> int:
    return len(seen.points) + seen.unanswered


def _threshold(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}" if round(value, 3) == value else f"{value:g}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
