"""Draw the charts of the report. Each has a title, axes with units, and a caption that says what it shows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from operate.report.figures import Figures
from operate.report.model_charts import audit, class_mix, confidence, drift, review_rate
from operate.report.service_charts import latency, models, waits
from operate.report.style import Plan, chart


@dataclass(frozen=True)
class Drawn:
    """A chart of the page: `name` is that of its file, `caption` says what it shows, `why_not` why it is missing."""

    name: str
    title: str
    caption: str
    why_not: str = ""


def draw(figures: Figures, folder: Path) -> Iterator[Drawn]:
    """Draw all charts as PNG files in `folder`; yield each, also one that has too little data."""
    for name, title, make in _CHARTS:
        plan = make(figures)
        if not plan.why_not:
            with chart(folder / f"{name}.png", plan.height) as axes:
                plan.plot(axes)
        yield Drawn(name, title, plan.caption, plan.why_not)


_CHARTS: tuple[tuple[str, str, Callable[[Figures], Plan]], ...] = (
    ("confidence", "Confidence of the model", confidence),
    ("class-mix", "What the model saw in the photos", class_mix),
    ("review-rate", "Photos sent to review, and rejected", review_rate),
    ("audit", "Error of the decisions that nobody checked", audit),
    ("drift", "Drift", drift),
    ("waits", "How long drivers waited", waits),
    ("latency", "Time that the endpoint took", latency),
    ("models", "Models in production", models),
)
