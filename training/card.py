"""The model card: training data, metrics and typical errors of a model, as Markdown and one figure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the backend is set: there is no display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.images import Pixels
from training.metrics import ECE_BINS, Floats, Ints, accepted, at_threshold, vehicle_log_odds

ERRORS_SHOWN = 18
MAX_ERRORS_PER_LABEL = 6
"""Limits the errors of one class, so that those of other classes are shown too."""

SUSPECTED_SHOWN = 20
"""Limits the labels that are listed because they contradict the model."""

_REASONS = {
    "unreadable": "that cannot be decoded",
    "same_picture": "that show the same picture as another one",
    "holdout": "that show the same picture as an image of the holdout",
    "contested": "of the same picture with other labels",
    "suspected": "whose labels contradict the model",
    "reviewer": "other ones of reviewers whose labels contradict the model more often",
}

_BLACK, _BLUE, _RED, _GREY = "#1f2933", "#2563a8", "#b3361b", "#8894a2"


@dataclass(frozen=True)
class Predictions:
    """The evaluated photos: N images, their probabilities (N, V + 1), true classes and labels (N,).

    `truth` holds the index of the true class; a label is the class folder, which is more specific for `other`. The card
    may show the images that `may_be_shown` (N,) marks.
    """

    images: list[Pixels]
    probabilities: Floats
    truth: Ints
    labels: NDArray[np.str_]
    may_be_shown: NDArray[np.bool_]


def write_card(folder: Path, metadata: dict[str, Any], report: dict[str, Any], predictions: Predictions) -> None:
    """Write model-card.md and model-card.png to `folder`.

    `metadata` is the content of model.json, `report` that of evaluation.json.
    """
    figure = _figure(metadata, report, predictions)
    figure.savefig(folder / "model-card.png", dpi=90, metadata={"Software": None})
    plt.close(figure)
    (folder / "model-card.md").write_text(_text(metadata, report))


def _figure(metadata: dict[str, Any], report: dict[str, Any], predictions: Predictions) -> Figure:
    classes, threshold = list(metadata["classes"]), float(metadata["threshold"])
    probabilities, truth = predictions.probabilities, predictions.truth
    plt.rcParams.update({"font.size": 10, "axes.edgecolor": _GREY, "text.color": _BLACK, "axes.labelcolor": _BLACK})
    space_for_lowest_captions = ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97))
    figure = plt.figure(figsize=(13, 13.5), layout=space_for_lowest_captions)
    grid = figure.add_gridspec(3, 2, height_ratios=[1, 1, 1.15])
    _plot_confusion(figure.add_subplot(grid[0, 0]), classes, probabilities, truth)
    _plot_reliability(figure.add_subplot(grid[0, 1]), probabilities, truth, report["ece"])
    wrong_at_most = float(metadata["policy"]["wrong_at_most"])
    _plot_coverage(figure.add_subplot(grid[1, 0]), probabilities, truth, threshold, wrong_at_most)
    _plot_outliers(figure.add_subplot(grid[1, 1]), probabilities, truth, report["auroc"])
    _plot_worst_errors(figure, grid[2, :], classes, threshold, predictions)
    figure.suptitle(f"{report['model_version']}: {len(truth)} photos ({report['data']})", fontsize=13)
    return figure


def _plot_confusion(axes: Axes, classes: list[str], probabilities: Floats, truth: Ints) -> None:
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    fractions = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in range(len(classes)):
        for column in range(len(classes)):
            colour = "white" if fractions[row, column] > 0.55 else _BLACK
            text = f"{counts[row, column]}\n{fractions[row, column]:.1%}"
            fontsize = 10 if len(classes) < 6 else 7
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=fontsize)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
    axes.set(title="Confusion matrix", xlabel="predicted class", ylabel="true class")


def _plot_reliability(axes: Axes, probabilities: Floats, truth: Ints, ece: float | None) -> None:
    rows = truth < probabilities.shape[1] - 1
    confidence = probabilities[rows].max(axis=1)
    is_correct = probabilities[rows].argmax(axis=1) == truth[rows]
    bin_index = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    for index in np.unique(bin_index):
        in_bin = bin_index == index
        count, accuracy = int(in_bin.sum()), float(is_correct[in_bin].mean())
        # Half of a 95% interval by the normal approximation, which is not zero at an accuracy of 0 or 1.
        half_width = 1.96 * np.sqrt(max(accuracy * (1 - accuracy), 0.25 / count) / count)
        mean = confidence[in_bin].mean()
        axes.errorbar(mean, accuracy, yerr=half_width, color=_BLUE, marker="o", capsize=2, linewidth=1)
        axes.annotate(str(count), (mean, accuracy), (5, -11), textcoords="offset points", fontsize=8)
    title = "Reliability of vehicle photos" + ("" if ece is None else f", ECE {ece:.3f}")
    axes.set(title=title, xlabel="confidence", ylabel="accuracy", xlim=(0.25, 1.02), ylim=(0, 1.05))


def _plot_coverage(axes: Axes, probabilities: Floats, truth: Ints, threshold: float, wrong_at_most: float) -> None:
    steps = np.unique(np.append(np.linspace(0.34, 0.999, 200), threshold))
    points = [at_threshold(probabilities, truth, step) for step in steps]
    coverage = [point.coverage for point in points]
    axes.plot(coverage, [point.error_accepted for point in points], color=_BLUE, label="errors among accepted vehicles")
    if (truth == probabilities.shape[1] - 1).any():
        others = [point.other_accepted for point in points]
        axes.plot(coverage, others, color=_RED, label="other photos accepted")
    chosen = at_threshold(probabilities, truth, threshold)
    axes.axvline(chosen.coverage, color=_GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
    axes.axhline(wrong_at_most, color=_GREY, linestyle=":", linewidth=1)
    axes.set(title="Coverage against error", xlabel="fraction of vehicle photos accepted", ylabel="fraction")
    axes.set_ylim(0, None)
    axes.legend(loc="upper left", frameon=False)


def _plot_outliers(axes: Axes, probabilities: Floats, truth: Ints, auroc: float | None) -> None:
    scores = vehicle_log_odds(probabilities).clip(-15, 15)
    is_vehicle = truth < probabilities.shape[1] - 1
    bins = np.linspace(-15, 15, 46)
    for rows, colour, name in ((~is_vehicle, _RED, "others"), (is_vehicle, _BLUE, "vehicles")):
        if rows.any():
            weights = np.full(int(rows.sum()), 1 / rows.sum())
            axes.hist(scores[rows], bins=bins.tolist(), weights=weights, color=colour, alpha=0.6, label=name)
    title = "Vehicles against others" + ("" if auroc is None else f", AUROC {auroc:.4f}")
    axes.set(title=title, xlabel="log odds of vehicle against other", ylabel="fraction of photos")
    axes.legend(frameon=False)


def _worst_errors(predictions: Predictions, threshold: float) -> list[int]:
    """Return the rows of the errors that may be shown and are: accepted ones first, then by confidence."""
    probabilities, truth = predictions.probabilities, predictions.truth
    is_accepted = accepted(probabilities, threshold)
    # An `other` photo that is not accepted goes to review whatever its predicted class, so it is no error.
    is_error = (probabilities.argmax(axis=1) != truth) & (is_accepted | (truth < probabilities.shape[1] - 1))
    wrong = np.flatnonzero(is_error & predictions.may_be_shown)
    severity = probabilities.max(axis=1) + is_accepted
    shown: list[int] = []
    for row in wrong[np.argsort(-severity[wrong], kind="stable")]:
        same_label = sum(predictions.labels[row] == predictions.labels[other] for other in shown)
        if len(shown) < ERRORS_SHOWN and same_label < MAX_ERRORS_PER_LABEL:
            shown.append(int(row))
    return shown


def _plot_worst_errors(
    figure: Figure, place: Any, classes: list[str], threshold: float, predictions: Predictions
) -> None:
    probabilities = predictions.probabilities
    is_accepted = accepted(probabilities, threshold)
    rows = _worst_errors(predictions, threshold)
    cells = place.subgridspec(2, ERRORS_SHOWN // 2)
    for i in range(ERRORS_SHOWN):
        axes = figure.add_subplot(cells[i // (ERRORS_SHOWN // 2), i % (ERRORS_SHOWN // 2)])
        axes.set_axis_off()
        if i == 0:
            title = "The worst errors" + ("" if predictions.may_be_shown.all() else " on base data")
            axes.set_title(f"{title}\n", loc="left", fontsize=11)
        if i < len(rows):
            row = rows[i]
            axes.imshow(predictions.images[row])
            predicted = f"{classes[int(probabilities[row].argmax())]} {probabilities[row].max():.2f}"
            caption = f"true: {predictions.labels[row]}\npredicted: {predicted}"
            caption += "\naccepted" if is_accepted[row] else "\nto review"
            colour = _RED if is_accepted[row] else _BLACK
            axes.text(0.5, -0.05, caption, transform=axes.transAxes, ha="center", va="top", fontsize=8, color=colour)


def _text(metadata: dict[str, Any], report: dict[str, Any]) -> str:
    rows = []
    for name, meaning in _MEANINGS.items():
        low, high = report["intervals"][name]
        interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        value = "not computable" if report[name] is None else f"{report[name]:.4f}"
        rows.append(f"| {name} | {value} | {interval} | {meaning} |")
    accepted_classes = {name: row for name, row in report["classes"].items() if row["other_accepted"]}
    worst = sorted(accepted_classes, key=lambda name: -accepted_classes[name]["other_accepted"])[:8]
    confused = "\n".join(
        f"- {name}: {accepted_classes[name]['other_accepted']:.1%} of {accepted_classes[name]['photos']} accepted as a"
        " vehicle"
        for name in worst
    )
    vehicles = ", ".join(metadata["classes"][:-1])
    policy = metadata["policy"]
    return f"""# Model card: {metadata["version"]}

Classifies photos of any size as {vehicles} or `other`, which is everything else. The input is resized to
{metadata["side"]} x {metadata["side"]} pixels. The probabilities are calibrated. A person decides when the confidence
is below {metadata["threshold"]:.3f} or the predicted class is `other`.

- The backbone is frozen (EfficientNet-Lite0, ImageNet, fine-tuned on small images; SHA-256
  {metadata["backbone"][:16]}). The head was fitted on {metadata["training_images"]} images,
  {metadata["labelled_images"]} of them labelled by people; source of the others: {metadata["source"]} (SHA-256
  {metadata["source_sha256"] or "not recorded"}); seed {metadata["seed"]}; {metadata["cpu_s"]} CPU seconds.
- Temperature {metadata["temperature"]:.3f}, offset of `other` {metadata["other_offset"]:.2f} and threshold come from
  cross-fitted predictions on {metadata["validation_images"]} images.

## Operating point
Policy: at most {policy["wrong_at_most"]:.1%} of the decisions without a review are wrong, when
{policy["others_share"]:.0%} of the uploads show no vehicle; at most {policy["others_accepted_at_most"]:.0%} of those
are accepted. The threshold, marked with *, is the lowest whose upper bounds (90%) satisfy the policy.

| threshold | vehicle photos decided | wrong among decisions (upper bound) | others accepted (upper bound) |
|---|---|---|---|
{chr(10).join(_operating_point_rows(report["operating_points"], metadata["threshold"]))}

## Metrics
On {report["photos"]} photos ({report["data"]}): {report["vehicles"]} of vehicles, {report["others"]} of other things.

| metric | value | 95% bootstrap interval | meaning |
|---|---|---|---|
{chr(10).join(rows)}

![Confusion matrix, reliability, coverage against error, outlier scores and the worst errors](model-card.png)

## Labels
{_labels_text(report["labels"])}

## Errors
{confused or "No class of other things was accepted in these photos."}

Not evaluated on night-vision or thermal images, on photos with several vehicles, or on vehicles between its classes
(e-bikes, tricycles).
"""


def _labels_text(labels: dict[str, Any]) -> str:
    """Return what became of the labelled photos, and which labels contradict the model."""
    left_out = labels["left_out"]
    if not labels["used"] and not any(left_out.values()):
        return "No labelled photo."
    reasons = ", ".join(f"{count} {_REASONS.get(reason, reason)}" for reason, count in left_out.items() if count)
    lines = [f"{labels['used']} labelled photos were trained on. Left out: {reasons or 'none'}."]
    for row in labels["by_reviewer"]:
        if row["worse"]:
            lines += [
                "",
                f"**Reviewer {row['reviewer']}: {row['suspected']} of {row['labels']} labels contradict the model**,"
                f" a larger share than of the others (p = {row['p_value']:.1g}). None of this reviewer's labels is"
                " trained on. Have another person label these photos.",
            ]
    if labels["by_reviewer"]:
        lines += ["", "| reviewer | labels | contradict the model | share |", "|---|---|---|---|"]
        lines += [
            f"| {row['reviewer']} | {row['labels']} | {row['suspected']} | {row['share']:.1%} |"
            for row in labels["by_reviewer"]
        ]
    if labels["suspected"]:
        shown = sorted(labels["suspected"], key=lambda row: -row["probability"])[:SUSPECTED_SHOWN]
        lines += ["", "| photo | label | by | the model predicts |", "|---|---|---|---|"]
        for row in shown:
            prediction = f"{row['predicted']} {row['probability']:.2f}"
            lines.append(f"| {row['photo_id']} | {row['label']} | {row['labelled_by']} | {prediction} |")
        if len(labels["suspected"]) > len(shown):
            lines += ["", f"evaluation.json lists all {len(labels['suspected'])}."]
    return "\n".join(lines)


def _operating_point_rows(points: list[dict[str, Any]], chosen: float) -> list[str]:
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
    "accuracy": "vehicle photos, `other` not among the classes",
    "accuracy_with_other": "all photos, `other` included",
    "ece": "expected calibration error of vehicle photos, 15 bins",
    "auroc": "vehicles against other things",
    "coverage": "vehicle photos accepted at the threshold",
    "error_accepted": "errors among those",
    "other_accepted": "photos of other things accepted",
}
