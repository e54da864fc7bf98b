"""The model card: what this model is, how good it is and where it errs, as Markdown and one picture."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend must be chosen first: there is no display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.images import Pixels
from training.metrics import ECE_BINS, Floats, Ints, accepted, at_threshold, vehicle_score

SHEET = 18
"""How many of the worst mistakes are shown."""

ALIKE = 6
"""At most so many of them of one label, so that one confusing class does not hide the others."""

_INK, _BLUE, _RED, _GREY = "#1f2933", "#2563a8", "#b3361b", "#8894a2"


def write_card(
    folder: Path,
    about: dict[str, Any],
    report: dict[str, Any],
    pictures: list[Pixels],
    probabilities: Floats,
    truth: Ints,
    labels: NDArray[np.str_],
) -> None:
    """Write model-card.md and model-card.png to `folder`.

    `about` is model.json, `report` evaluation.json; the others are what the report was made of: N pictures, their
    probabilities (N, V + 1), truth (N,) and the folder or label (N,) of each.
    """
    classes = list(about["classes"])
    figure = _picture(
        classes,
        float(about["threshold"]),
        float(about["policy"]["wrong_at_most"]),
        report,
        pictures,
        probabilities,
        truth,
        labels,
    )
    figure.savefig(folder / "model-card.png", dpi=90, metadata={"Software": None})
    plt.close(figure)
    (folder / "model-card.md").write_text(_text(about, report))


def _picture(
    classes: list[str],
    threshold: float,
    wrong_at_most: float,
    report: dict[str, Any],
    pictures: list[Pixels],
    probabilities: Floats,
    truth: Ints,
    labels: NDArray[np.str_],
) -> Figure:
    plt.rcParams.update({"font.size": 10, "axes.edgecolor": _GREY, "text.color": _INK, "axes.labelcolor": _INK})
    room_for_lowest_captions = ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97))
    figure = plt.figure(figsize=(13, 13.5), layout=room_for_lowest_captions)
    grid = figure.add_gridspec(3, 2, height_ratios=[1, 1, 1.15])
    _confusion(figure.add_subplot(grid[0, 0]), classes, probabilities, truth)
    _reliability(figure.add_subplot(grid[0, 1]), probabilities, truth, report["ece"])
    _coverage(figure.add_subplot(grid[1, 0]), probabilities, truth, threshold, wrong_at_most)
    _outliers(figure.add_subplot(grid[1, 1]), probabilities, truth, report["auroc"])
    _mistakes(figure, grid[2, :], classes, threshold, pictures, probabilities, truth, labels)
    figure.suptitle(f"{report['model_version']}: {len(truth)} photos ({report['data']})", fontsize=13)
    return figure


def _confusion(axes: Axes, classes: list[str], probabilities: Floats, truth: Ints) -> None:
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in range(len(classes)):
        for column in range(len(classes)):
            ink = "white" if shares[row, column] > 0.55 else _INK
            text = f"{counts[row, column]}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=10 if len(classes) < 6 else 7)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
    axes.set(title="What it shows (rows), what the model says (columns)")


def _reliability(axes: Axes, probabilities: Floats, truth: Ints, ece: float | None) -> None:
    rows = truth < probabilities.shape[1] - 1
    confidence = probabilities[rows].max(axis=1)
    right = probabilities[rows].argmax(axis=1) == truth[rows]
    place = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    for b in np.unique(place):
        those = place == b
        count, share = int(those.sum()), float(right[those].mean())
        spread = 1.96 * np.sqrt(max(share * (1 - share), 0.25 / count) / count)
        axes.errorbar(confidence[those].mean(), share, yerr=spread, color=_BLUE, marker="o", capsize=2, linewidth=1)
        axes.annotate(str(count), (confidence[those].mean(), share), (5, -11), textcoords="offset points", fontsize=8)
    title = "Reliability of vehicle photos" + ("" if ece is None else f", ECE {ece:.3f}")
    axes.set(title=title, xlabel="confidence", ylabel="share right", xlim=(0.25, 1.02), ylim=(0, 1.05))


def _coverage(axes: Axes, probabilities: Floats, truth: Ints, threshold: float, wrong_at_most: float) -> None:
    steps = np.unique(np.append(np.linspace(0.34, 0.999, 200), threshold))
    points = [at_threshold(probabilities, truth, step) for step in steps]
    coverage = [point.coverage for point in points]
    axes.plot(coverage, [point.error_accepted for point in points], color=_BLUE, label="wrong among accepted vehicles")
    if (truth == probabilities.shape[1] - 1).any():
        taken = [point.other_accepted for point in points]
        axes.plot(coverage, taken, color=_RED, label="other photos accepted")
    own = at_threshold(probabilities, truth, threshold)
    axes.axvline(own.coverage, color=_GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
    axes.axhline(wrong_at_most, color=_GREY, linestyle=":", linewidth=1)
    axes.set(title="Coverage against error", xlabel="share of vehicle photos accepted", ylabel="share")
    axes.set_ylim(0, None)
    axes.legend(loc="upper left", frameon=False)


def _outliers(axes: Axes, probabilities: Floats, truth: Ints, auroc: float | None) -> None:
    scores = vehicle_score(probabilities).clip(-15, 15)
    is_vehicle = truth < probabilities.shape[1] - 1
    bins = np.linspace(-15, 15, 46)
    for rows, colour, name in ((~is_vehicle, _RED, "others"), (is_vehicle, _BLUE, "vehicles")):
        if rows.any():
            weights = np.full(int(rows.sum()), 1 / rows.sum())
            axes.hist(scores[rows], bins=bins.tolist(), weights=weights, color=colour, alpha=0.6, label=name)
    title = "Is it a vehicle at all?" + ("" if auroc is None else f" AUROC {auroc:.4f}")
    axes.set(title=title, xlabel="log odds of vehicle against other", ylabel="share of photos")
    axes.legend(frameon=False)


def _mistakes(
    figure: Figure,
    place: Any,
    classes: list[str],
    threshold: float,
    pictures: list[Pixels],
    probabilities: Floats,
    truth: Ints,
    labels: NDArray[np.str_],
) -> None:
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != truth)
    # Others that are refused are no mistake, whatever they are taken for; those accepted come first of all.
    taken = accepted(probabilities, threshold)
    wrong = wrong[taken[wrong] | (truth[wrong] < len(classes) - 1)]
    severity = probabilities.max(axis=1) + taken
    worst: list[int] = []
    for index in wrong[np.argsort(-severity[wrong], kind="stable")]:
        alike = sum(labels[index] == labels[other] for other in worst)
        if len(worst) < SHEET and alike < ALIKE:
            worst.append(int(index))
    sheet = place.subgridspec(2, SHEET // 2)
    for i in range(SHEET):
        axes = figure.add_subplot(sheet[i // (SHEET // 2), i % (SHEET // 2)])
        axes.set_axis_off()
        if i == 0:
            axes.set_title("The worst mistakes\n", loc="left", fontsize=11)
        if i < len(worst):
            index = worst[i]
            axes.imshow(pictures[index])
            says = f"{classes[int(probabilities[index].argmax())]} {probabilities[index].max():.2f}"
            mark = "\naccepted" if taken[index] else "\nto review"
            axes.text(
                0.5, -0.05, f"is {labels[index]}\nsays {says}{mark}", transform=axes.transAxes, ha="center", va="top",
                fontsize=8, color=_RED if taken[index] else _INK,
            )  # fmt: skip


def _text(about: dict[str, Any], report: dict[str, Any]) -> str:
    rows = []
    for name, meaning in _MEANINGS.items():
        low, high = report["intervals"][name]
        span = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        value = "not computable" if report[name] is None else f"{report[name]:.4f}"
        rows.append(f"| {name} | {value} | {span} | {meaning} |")
    accepting = {name: row for name, row in report["classes"].items() if row["other_accepted"]}
    worst = sorted(accepting, key=lambda name: -accepting[name]["other_accepted"])[:8]
    confused = "\n".join(
        f"- {name}: {accepting[name]['other_accepted']:.1%} of {accepting[name]['photos']} accepted as a vehicle"
        for name in worst
    )
    vehicles = ", ".join(about["classes"][:-1])
    policy = about["policy"]
    return f"""# Model card: {about["version"]}

Tells apart {vehicles} and `other`, which is everything else, on photos of any size, which it sees as squares of
{about["side"]} pixels. Answers with calibrated probabilities; below confidence {about["threshold"]:.3f}, or when it
says `other`, a person decides.

- Made from a frozen backbone (EfficientNet-Lite0, ImageNet, adapted to small pictures; SHA-256
  {about["backbone"][:16]}) and a head that was fitted on {about["training_images"]} pictures,
  {about["labelled_images"]} of them labelled by people; source of the others: {about["source"]}; seed {about["seed"]};
  {about["cpu_s"]} CPU seconds.
- Temperature {about["temperature"]:.3f}, offset of `other` {about["other_offset"]:.2f} and threshold come from
  cross-fitted predictions on {about["validation_images"]} pictures.

## The operating point
Policy: of what is decided without a person at most {policy["wrong_at_most"]:.1%} wrong, where
{policy["others_share"]:.0%} of the uploads show no vehicle, of which at most {policy["others_accepted_at_most"]:.0%}
may be accepted. The threshold is the lowest whose upper bounds (90%) satisfy it; * marks it.

| threshold | vehicle photos decided alone | wrong among decided (upper bound) | others accepted (upper bound) |
|---|---|---|---|
{chr(10).join(_trade_off(report["operating_points"], about["threshold"]))}

## How good it is
On {report["photos"]} photos ({report["data"]}): {report["vehicles"]} of vehicles, {report["others"]} of other things.

| figure | value | 95% by bootstrap | meaning |
|---|---|---|---|
{chr(10).join(rows)}

![Confusion matrix, reliability, coverage against error, outlier scores and the worst mistakes](model-card.png)

## Where it errs
{confused or "No class of other things was accepted in these photos."}

It has not been tried on night-vision or heat images, on photos with several of our vehicles at once, or on vehicles
between its classes (e-bikes, tricycles).
"""


def _trade_off(points: list[dict[str, Any]], chosen: float) -> list[str]:
    shown = {0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, chosen}
    rows = []
    for point in points:
        if point["threshold"] in shown:
            others = "unknown"
            if point["others_accepted"] is not None:
                others = f"{point['others_accepted']:.1%} ({point['others_accepted_upper']:.1%})"
            rows.append(
                f"| {point['threshold']:.3f}{' *' if point['threshold'] == chosen else ''} | {point['decided']:.1%} "
                f"| {point['wrong']:.2%} ({point['wrong_upper']:.2%}) | {others} |"
            )
    return rows


_MEANINGS = {
    "accuracy": "vehicle against vehicle",
    "accuracy_with_other": "all photos, `other` included",
    "ece": "calibration error of vehicle photos, 15 bins",
    "auroc": "vehicles against other things",
    "coverage": "vehicle photos accepted at the threshold",
    "error_accepted": "wrong ones among those",
    "other_accepted": "photos of other things accepted",
}
