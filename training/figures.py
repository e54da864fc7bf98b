"""The figures of training.study as a page: each beside what it must reach, with its value for every seed."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.trials import DAMAGES

Figures = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One figure: `part` of the study, where it is there, and its bound (`least` or `most`)."""

    name: str
    part: str
    where: tuple[str, ...]
    least: float | None = None
    most: float | None = None
    every_seed: bool = False
    """Whether each seed must keep the bound, or their mean."""

    def met(self, values: list[float]) -> bool:
        """Return whether the values of the seeds keep the bound."""
        judged = values if self.every_seed else [float(np.mean(values))]
        low_enough = self.most is None or all(value <= self.most for value in judged)
        return low_enough and (self.least is None or all(value >= self.least for value in judged))

    def read(self, figures: Figures) -> float:
        """Return the figure; raises KeyError where it was not measured."""
        value: Any = figures
        for key in self.where:
            value = value[key]
        return float(value)


def _damage_lines(damage: str) -> list[Line]:
    return [
        Line(f"{damage}: accuracy", "official", ("damaged", damage, "accuracy"), least=0.93),
        Line(f"{damage}: error among accepted", "official", ("damaged", damage, "error_accepted"), most=0.02),
        Line(f"{damage}: coverage", "official", ("damaged", damage, "coverage")),
        Line(f"{damage}: accuracy, cross-validation", "folds", (damage, "accuracy"), least=0.93),
        Line(f"{damage}: error among accepted, cross-validation", "folds", (damage, "error_accepted"), most=0.02),
    ]


LINES = (
    Line("accuracy, 200 official test images", "official", ("vehicles", "accuracy"), least=0.97),
    Line("the same without near-duplicates", "official", ("without_near_duplicates", "accuracy")),
    Line("accuracy, 5-fold cross-validation over 1,200", "folds", ("plain", "accuracy"), least=0.95),
    Line("the same without near-duplicates", "folds", ("without_near_duplicates", "accuracy")),
    Line("AUROC, classes never trained on", "unseen", ("all", "auroc"), least=0.985),
    Line("AUROC, vehicles never trained on", "unseen", ("vehicles", "auroc"), least=0.975),
    Line("AUROC, other test images, known classes", "official", ("with_all_other_test_images", "auroc")),
    Line("threshold", "official", ("vehicles", "threshold")),
    Line("coverage, official test images", "official", ("vehicles", "coverage"), least=0.90),
    Line("error among accepted, official", "official", ("vehicles", "error_accepted"), most=0.01),
    Line("coverage, cross-validation", "folds", ("plain", "coverage"), least=0.90),
    Line("error among accepted, cross-validation", "folds", ("plain", "error_accepted"), most=0.01),
    Line("unseen classes accepted", "unseen", ("all", "other_accepted"), most=0.02),
    Line("unseen vehicles accepted", "unseen", ("vehicles", "other_accepted"), most=0.04),
    Line("unseen classes accepted at 0.9", "unseen", ("accepted_at_0.9",)),
    Line("other test images, known classes, accepted", "official", ("with_all_other_test_images", "other_accepted")),
    Line("noise, black, white, flat, text accepted of 500", "official", ("nothings_sum",), most=0, every_seed=True),
    Line("ECE, pooled cross-validation", "folds", ("plain", "ece"), most=0.03),
    Line("ECE, official test images", "official", ("vehicles", "ece")),
    *(line for damage in DAMAGES for line in _damage_lines(damage)),
    Line("real photos of vehicles: accuracy", "official", ("real", "accuracy"), least=1, every_seed=True),
    Line("real photos of vehicles: coverage", "official", ("real", "coverage")),
    Line("real photos of others accepted", "official", ("real", "others_accepted"), most=1, every_seed=True),
    Line("fine-tuning and calibration, CPU seconds", "official", ("cpu_s",), most=60, every_seed=True),
    Line("model, MB", "serving", ("model_mb",), most=5),
    Line("ms per image, one thread", "serving", ("ms_per_image",), most=3),
    Line("ms, 12-megapixel JPEG to answer", "serving", ("ms_12_megapixel_jpeg",), most=120),
    Line("ONNX against PyTorch", "serving", ("difference_from_pytorch",), most=1e-4, every_seed=True),
    Line("four vehicles: accuracy", "four", ("accuracy",)),
    Line("four vehicles: AUROC against all others", "four", ("auroc",)),
    Line("four vehicles: ECE", "four", ("ece",)),
    Line("four vehicles: coverage", "four", ("coverage",)),
    Line("four vehicles: error among accepted", "four", ("error_accepted",)),
    Line("four vehicles: others accepted", "four", ("other_accepted",)),
)


def page(values: Figures) -> str:
    """Return the figures as Markdown; `values` maps `part/seed` to what training.study measured there."""
    rows = []
    for line in LINES:
        measured = [values[key] for key in sorted(values) if key.partition("/")[0] == line.part]
        seeds = []
        for figures in measured:
            with suppress(KeyError, TypeError):  # not measured with this seed, or not computable
                seeds.append(line.read(figures))
        if not seeds:
            continue
        bound = f"at least {line.least:g}" if line.least is not None else ""
        bound = f"at most {line.most:g}" if line.most is not None else bound
        verdict = "" if not bound else "met" if line.met(seeds) else "**missed**"
        shown = ", ".join(f"{value:.4g}" for value in seeds)
        rows.append(f"| {line.name} | {float(np.mean(seeds)):.4g} | {shown} | {bound} | {verdict} |")
    return "\n".join(["| figure | mean | seeds | must be | |", "|---|---|---|---|---|", *rows, ""])
