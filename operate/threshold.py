"""Print reviews and errors at the threshold in force and at another one, and the command that sets it."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from console import monitoring, tradeoff
from console.aws import Aws
from console.champion import ChampionReader, EndpointState, Model
from console.monitoring import RecentPhotos
from console.photo_records import DAYS, PhotoRecords
from console.reviews import Reviews
from console.tradeoff import Policy, TradeOff
from deploy.outputs import Deployed
from functions.shared.parameters import MAX_AGE_S
from functions.shared.threshold import MODELS_OWN
from operate.errors import CommandError
from operate.terminal import console, print_line


def parse_threshold(at: str) -> float | str | None:
    """Parse AT: a threshold in [0, 1], `model` for the model's own, or None when it is empty.

    Raises CommandError for anything else.

    >>> parse_threshold("0.95"), parse_threshold("model"), parse_threshold("")
    (0.95, 'model', None)
    """
    text = at.strip()
    if not text or text == MODELS_OWN:
        return text or None
    try:
        value = tradeoff.parse_share(float(text))
    except ValueError:  # refused below, with the text
        value = None
    if value is None:
        raise CommandError(f"AT is {at!r}. Use a number from 0 to 1, such as AT=0.95, or AT=model for the model's own.")
    return value


def run(deployed: Deployed, aws: Aws, report: Path, *, at: str = "", is_local: bool = False) -> dict[str, Any]:
    """Print the trade-off and the effect of `at`, write both to `report` and return them.

    Does not change the threshold. Raises CommandError when there is no champion or `at` is invalid.
    """
    wanted = parse_threshold(at)
    endpoint = ChampionReader(deployed, aws).read(history=False)
    if endpoint.error:
        raise CommandError(f"The champion cannot be read. {endpoint.error}. Try again.")
    champion = endpoint.champion
    if champion is None:
        raise CommandError(f"There is no endpoint {deployed.endpoint_name}. Train a model first: `make retrain`.")
    photos = monitoring.recent_of_model(
        PhotoRecords(deployed, aws), Reviews(deployed.ml_bucket, aws.s3), champion.version
    )
    trade_off = TradeOff.of(champion, endpoint.threshold)
    policy = Policy.of(champion)
    new = champion.threshold if wanted == MODELS_OWN else wanted
    if wanted == MODELS_OWN and new is None:
        raise CommandError(f"{champion.version} has no threshold of its own. Give a number: make threshold AT=0.95")
    assert not isinstance(new, str)
    recent = _describe_recent(photos, _list_thresholds(trade_off, champion, endpoint, new))
    result: dict[str, Any] = {
        "champion": champion.version,
        "chosen": champion.threshold,
        "in_force": endpoint.threshold,
        "set_by_an_operator": endpoint.overridden,
        "policy": asdict(policy) if policy else None,
        "operating_points": [
            {**asdict(row.point), "reviews_per_1000": row.expected_reviews, "marks": row.marks}
            for row in (trade_off.rows([new] if new is not None else []) if trade_off else [])
        ],
        "recent_photos": recent,
    }
    _print_model(champion, endpoint, trade_off, policy, deployed.threshold_parameter, new)
    _print_recent(photos, recent["thresholds"], champion, endpoint)
    if wanted is not None and new is not None:
        region = aws.ssm.meta.region_name
        command = _put_parameter_command(
            deployed.threshold_parameter, MODELS_OWN if wanted == MODELS_OWN else f"{new:g}", region
        )
        change = _describe_change(trade_off, photos, endpoint.threshold, new) | {"command": command}
        result["change"] = change
        _print_change(change, trade_off, photos, is_local)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(f"Written to {report}", soft_wrap=True)
    return result


def _list_thresholds(
    trade_off: TradeOff | None, champion: Model, endpoint: EndpointState, new: float | None
) -> list[float]:
    """Return the thresholds in the table of recent photos, in ascending order."""
    measured = [row.point.threshold for row in trade_off.rows()] if trade_off else list(tradeoff.TABLE_THRESHOLDS)
    return sorted({*measured, *(one for one in (champion.threshold, endpoint.threshold, new) if one is not None)})


def _describe_recent(photos: RecentPhotos, thresholds: list[float]) -> dict[str, Any]:
    effects = [tradeoff.effect(photos, threshold) for threshold in thresholds]
    return {
        "photos": len(photos.points),
        "without_an_answer": photos.unanswered,
        "judged_by_other_models": photos.others,
        "first": photos.points[0].at.isoformat() if photos.points else None,
        "last": photos.points[-1].at.isoformat() if photos.points else None,
        "thresholds": [asdict(one) | {"reviews_per_1000": one.reviews_per_1000} for one in effects],
    }


def _describe_change(trade_off: TradeOff | None, photos: RecentPhotos, now: float | None, new: float) -> dict[str, Any]:
    """Return the effects of changing the threshold from `now` to `new`, each as [now, new]; None where unknown."""
    points = [trade_off.at(value) if trade_off else None for value in (now, new)]
    policy = trade_off.policy if trade_off else None
    effects = [None if value is None or not photos.points else tradeoff.effect(photos, value) for value in (now, new)]
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


def _put_parameter_command(parameter: str, value: str, region: str) -> str:
    """Return the AWS CLI command that sets the threshold in force.

    >>> _put_parameter_command("/scones/dev/threshold", "0.95", "eu-west-1")
    'aws ssm put-parameter --region eu-west-1 --name /scones/dev/threshold --type String --overwrite --value 0.95'
    """
    options = ["--region", region, "--name", parameter, "--type", "String", "--overwrite", "--value", value]
    return shlex.join(["aws", "ssm", "put-parameter", *options])


def _print_model(
    champion: Model,
    endpoint: EndpointState,
    trade_off: TradeOff | None,
    policy: Policy | None,
    parameter: str,
    new: float | None,
) -> None:
    print_line(f"In production: {champion.version}. Its own threshold: {_format_threshold(champion.threshold)}.")
    who = f"set by an operator in {parameter}" if endpoint.overridden else "the model's own"
    print_line(f"Threshold in force: {_format_threshold(endpoint.threshold)}, {who}.")
    print_line(
        f"Policy: {policy.description}"
        if policy
        else "The model has no policy: it was trained before policies were introduced."
    )
    if trade_off is None:
        print_line("The model's report has no trade-off. Models that `make retrain` trains from now on have one.")
        return
    grid = Table(title="The trade-off, measured on photos that the model was not trained on", title_justify="left")
    headings = ("threshold", "", "decided\nwithout\na person", "errors among\ndecided", "non-vehicles\nlet through")
    for heading in (*headings, "reviews\nper 1,000\nphotos"):
        grid.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    for row in trade_off.rows([new] if new is not None else []):
        point = row.point
        grid.add_row(
            f"{point.threshold:.3f}",
            ", ".join(row.marks),
            f"{point.decided:.1%}",
            tradeoff.format_with_bound(point.wrong, point.wrong_upper),
            tradeoff.format_with_bound(point.others_accepted, point.others_accepted_upper),
            _rounded(row.expected_reviews),
            style="bold" if row.marks else None,
        )
    console.print(grid)
    print_line("≤: upper bound of a one-sided 90% confidence interval.")
    for name, value in (("chosen", champion.threshold), ("in force", endpoint.threshold)):
        nearest = trade_off.at(value)
        if value is not None and nearest is None:
            print_line(f"The threshold {name}, {value:g}, is outside the measured range.")
        elif value is not None and nearest and abs(nearest.threshold - value) > 1e-9:
            print_line(f"The threshold {name} is {value:g}; {nearest.threshold:.3f} is the nearest measured one.")


def _print_recent(
    photos: RecentPhotos, effects: list[dict[str, Any]], champion: Model, endpoint: EndpointState
) -> None:
    if not photos.points:
        others = f" ({photos.others} by other models)" if photos.others else ""
        print_line(
            f"{champion.version} has classified no photo of this stage in the last {DAYS} days{others}. "
            "Upload photos first: make upload PHOTOS=<file or folder>"
        )
        return
    when = (
        f", {photos.points[0].at:%Y-%m-%d %H:%M} to {photos.points[-1].at:%Y-%m-%d %H:%M} UTC" if photos.points else ""
    )
    grid = Table(
        title=f"The {len(photos.points):,} photos of this stage that the champion classified{when}",
        title_justify="left",
    )
    for heading in ("threshold", "", "reviews per 1,000 photos", "labelled and at or above it", "of these wrong"):
        grid.add_column(heading, justify="right" if heading else "left")
    for one in effects:
        marks = [
            name
            for name, value in ((tradeoff.CHOSEN, champion.threshold), (tradeoff.IN_FORCE, endpoint.threshold))
            if value is not None and abs(value - one["threshold"]) < 1e-9
        ]
        wrong = str(one["wrong"]) if one["labelled"] else "–"
        grid.add_row(
            f"{one['threshold']:.3f}",
            ", ".join(marks),
            _rounded(one["reviews_per_1000"]),
            str(one["labelled"]),
            wrong,
            style="bold" if marks else None,
        )
    console.print(grid)
    if photos.unanswered:
        print_line(f"{photos.unanswered} of them were sent to a reviewer and have no answer. Answer them: make review")
    if any(point.agrees is not None for point in photos.points):
        print_line(
            "Reviewers label only what is sent to review: few or no photos above the threshold in force have labels."
        )
    else:
        print_line("None of them has a label, so the number of errors among them is unknown.")


def _print_change(change: dict[str, Any], trade_off: TradeOff | None, photos: RecentPhotos, is_local: bool) -> None:
    now, new = change["threshold"]
    grid = Table(title=f"A change from {_format_threshold(now)} to {_format_threshold(new)}", title_justify="left")
    for heading in ("", "now", "then"):
        grid.add_column(heading, justify="right" if heading else "left")
    if trade_off:
        grid.add_row("reviews per 1,000 photos, expected", *map(_rounded, change["expected_reviews_per_1000"]))
    if photos.points:
        heading = f"reviews per 1,000, on the {len(photos.points):,} recent photos"
        grid.add_row(heading, *map(_rounded, change["recent_reviews_per_1000"]))
    if trade_off:
        for name, heading in (("wrong", "errors among decided"), ("others_accepted", "non-vehicles let through")):
            pairs = zip(change[name], change[f"{name}_upper"], strict=True)
            grid.add_row(f"{heading}, expected", *(tradeoff.format_with_bound(*pair) for pair in pairs))
    if grid.row_count:
        console.print(grid)
    else:
        print_line("The effect of the change is unknown: the model has no trade-off and has classified no photo.")
    for problem in change["against_the_policy"]:
        print_line(f"Policy violation: {problem}")
    where = ' (after eval "$(make -s credentials)")' if is_local else ""
    print_line(f"Nothing was changed. To change it{where}; it takes effect within {MAX_AGE_S} s:")
    print_line(f"  {change['command']}")


def _format_threshold(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}" if round(value, 3) == value else f"{value:g}"


def _rounded(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
