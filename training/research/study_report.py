"""Read and write the figures of the study: JSON, Markdown and a plot."""

import json
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the backend is set: there is no display

from training.research.study_metrics import Figures

FIGURES_NAME = "figures.json"
COLUMNS = ("accuracy", "auroc", "ece", "threshold", "decided", "wrong", "others_accepted", "decided_at_1_percent")

Runs = dict[int, dict[str, Figures]]
"""Figures by seed and experiment."""


def read_runs(folder: Path, fingerprint: str) -> Runs:
    """Return the runs in `folder` that were measured with the same `fingerprint`; empty when there are none.

    `fingerprint` is that of recipe, policy and backbone (see training.research.fingerprint).
    """
    file = folder / FIGURES_NAME
    if not file.is_file():
        return {}
    content = json.loads(file.read_text())
    if content.get("fingerprint") != fingerprint:
        return {}
    return {int(seed): run for seed, run in content["runs"].items()}


def write_report(folder: Path, runs: Runs, fingerprint: str, backbone: str) -> None:
    """Write figures.json, figures.md and labels.png to `folder`; `backbone` is the digest of the backbone."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = summarise(runs)
    content = {"backbone": backbone, "fingerprint": fingerprint, "runs": runs, "summary": summary}
    (folder / FIGURES_NAME).write_text(json.dumps(content, indent=1) + "\n")
    (folder / "figures.md").write_text(to_markdown(summary))
    plot_label_curve(summary, folder / "labels.png")


def summarise(runs: Mapping[int, Mapping[str, Figures]]) -> dict[str, Figures]:
    """Return, for each experiment and metric, the mean over the seeds and the value of each seed."""
    result: dict[str, Figures] = {}
    for name in dict.fromkeys(name for run in runs.values() for name in run):
        figures = {seed: run[name] for seed, run in runs.items() if isinstance(run.get(name), dict)}
        result[name] = {}
        for metric in dict.fromkeys(key for values in figures.values() for key in values):
            values = {seed: row[metric] for seed, row in figures.items() if row.get(metric) is not None}
            numbers = [value for value in values.values() if isinstance(value, int | float)]
            if numbers:
                result[name][metric] = {"mean": float(np.mean(numbers)), "seeds": values}
    return result


def to_markdown(summary: Mapping[str, Figures]) -> str:
    """Return the summary as a Markdown table: the mean over the seeds, and in brackets the value of each seed."""
    lines = [
        "# Figures",
        "",
        "Mean over the seeds, and in brackets the value of each seed. Written by `python -m training.research.study`.",
        "",
        f"| measured on | {' | '.join(name.replace('_', ' ') for name in COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    for name, row in summary.items():
        if any(metric in row for metric in COLUMNS):
            lines.append(f"| {name} | {' | '.join(_cell(row.get(metric)) for metric in COLUMNS)} |")
    return "\n".join(lines) + "\n"


def _cell(value: Figures | None) -> str:
    if not value or np.isnan(value["mean"]):
        return ""
    seeds = " ".join(f"{number:.3f}" for number in value["seeds"].values())
    return f"{value['mean']:.3f} ({seeds})" if len(value["seeds"]) > 1 else f"{value['mean']:.3f}"


def plot_label_curve(summary: Mapping[str, Figures], path: Path) -> None:
    """Plot accuracy and coverage on street photos over the number of labelled ones; write no file without them."""
    rows = [(name.removesuffix(" labels"), row) for name, row in summary.items() if name.endswith(" labels")]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for key, label, style in (
        ("accuracy", "accuracy, vehicle against vehicle", "o-"),
        ("decided", "decided without a person", "s--"),
    ):
        means = [row[key]["mean"] for _, row in rows]
        seeds = [list(row[key]["seeds"].values()) for _, row in rows]
        axes.plot(range(len(rows)), means, style, label=label)
        axes.fill_between(range(len(rows)), [min(v) for v in seeds], [max(v) for v in seeds], alpha=0.15)
    axes.set_xticks(range(len(rows)), [name for name, _ in rows])
    axes.set(
        title="Effect of labelled street photos (mean and range of the seeds)",
        xlabel="labelled street photos in the retraining",
        ylabel="fraction of the other street vehicles",
        ylim=(0.8, 1.0),
    )
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
