"""How often the interval of the audit contains the error, how wide it is, and how many reviews it costs.

    make simulate-audit
    python -m benchmarks.audit_interval --months 10000

Each simulated month draws the decisions of the model that are wrong and the photos that are in the audit sample.
`functions.shared.audit.estimate` computes the interval that is published; the intervals of Wilson and of Jeffreys are
for comparison.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from functions.shared.audit import AuditedPhoto, estimate

MONTHS = 10_000
REVIEW_S = 5
"""Seconds in which a reviewer answers, as in operate/usage.json."""

Counts = tuple[tuple[float, int, int], ...]
"""The share, the answered photos and the wrong ones of each period."""


@dataclass(frozen=True)
class Period:
    """A part of a month: the decisions of the model, the share that is audited, and the error among the decisions."""

    decisions: int
    share: float
    error: float


@dataclass(frozen=True)
class Scenario:
    """A month of one or more periods, of whose audits the share `answered` has an answer."""

    name: str
    periods: tuple[Period, ...]
    answered: float = 1.0

    @property
    def error(self) -> float:
        """The error among all decisions of the month."""
        wrong = sum(period.decisions * period.error for period in self.periods)
        return wrong / sum(period.decisions for period in self.periods)


def scenarios() -> Iterator[Scenario]:
    """Yield the months of docs/audit.md."""
    for decisions in (3_000, 10_000, 30_000, 100_000):
        for error in (0.005, 0.01, 0.02, 0.05):
            yield Scenario(f"{decisions:,} decisions, 2% audited", (Period(decisions, 0.02, error),))
    for share in (0.005, 0.01, 0.05):
        yield Scenario(f"30,000 decisions, {share:.1%} audited", (Period(30_000, share, 0.01),))
    for before, after in ((0.01, 0.05), (0.05, 0.01), (0.01, 0.01), (0.005, 0.02)):
        periods = (Period(15_000, 0.02, before), Period(15_000, 0.1, after))
        yield Scenario(f"30,000 decisions, 2% then 10% audited, error {before:.1%} then {after:.1%}", periods)
    yield Scenario("30,000 decisions, 2% audited, half answered", (Period(30_000, 0.02, 0.01),), 0.5)


@dataclass(frozen=True)
class Result:
    """What the months of a scenario gave: the share that covers the error by interval, mean width and reviews."""

    scenario: Scenario
    coverage: dict[str, float]
    width: float
    reviews: float

    def row(self) -> str:
        """Return the row of the table in docs/audit.md."""
        covered = " | ".join(f"{share:.3f}" for share in self.coverage.values())
        minutes = self.reviews * REVIEW_S / 60
        cells = f"{self.scenario.error:.2%} | {covered} | {self.width / 2:.2%} | {self.reviews:,.0f} | {minutes:,.0f}"
        return f"| {self.scenario.name} | {cells} |"


@cache
def published(counts: Counts) -> tuple[float, float] | None:
    """Return the interval that is published for these counts, None without answers."""
    photos = [
        photo
        for share, answered, wrong in counts
        for photo in (
            *[AuditedPhoto("bicycle", "v1", share, "motorcycle")] * wrong,
            *[AuditedPhoto("bicycle", "v1", share, "bicycle")] * (answered - wrong),
        )
    ]
    found = estimate(photos)
    return None if found.lower is None or found.upper is None else (found.lower, found.upper)


def wilson(wrong: int, number: int) -> tuple[float, float]:
    """Return the interval of Wilson (Journal of the American Statistical Association 22, 1927)."""
    found = stats.binomtest(wrong, number).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def jeffreys(wrong: int, number: int) -> tuple[float, float]:
    """Return the interval of Jeffreys (Brown, Cai and DasGupta, Statistical Science 16, 2001)."""
    lower, upper = stats.beta.ppf((0.025, 0.975), wrong + 0.5, number - wrong + 0.5)
    return (0.0 if wrong == 0 else float(lower)), (1.0 if wrong == number else float(upper))


@cache
def intervals(counts: Counts) -> dict[str, tuple[float, float] | None]:
    """Return the intervals for these counts by name; those of Wilson and Jeffreys ignore the shares."""
    answered, wrong = (sum(column) for column in list(zip(*counts, strict=True))[1:])
    if not answered:
        return dict.fromkeys(("published", "Wilson", "Jeffreys"))
    return {
        "published": published(counts),
        "Wilson": wilson(int(wrong), int(answered)),
        "Jeffreys": jeffreys(int(wrong), int(answered)),
    }


def simulate(scenario: Scenario, months: int = MONTHS, seed: int = 0) -> Result:
    """Simulate months. One without answers has the interval from 0 to 1."""
    random = np.random.default_rng(seed)
    answered = [
        random.binomial(period.decisions, period.share * scenario.answered, months) for period in scenario.periods
    ]
    wrong = [random.binomial(number, period.error) for number, period in zip(answered, scenario.periods, strict=True)]
    covered, width = {"published": 0, "Wilson": 0, "Jeffreys": 0}, 0.0
    for month in range(months):
        counts = tuple(
            (period.share, int(answered[i][month]), int(wrong[i][month])) for i, period in enumerate(scenario.periods)
        )
        for name, interval in intervals(counts).items():
            lower, upper = interval or (0.0, 1.0)
            covered[name] += lower <= scenario.error <= upper
            width += upper - lower if name == "published" else 0
    shares = {name: count / months for name, count in covered.items()}
    return Result(scenario, shares, width / months, float(np.mean(np.sum(answered, axis=0))))


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of the table in docs/audit.md."""
    yield "| month | error | covered | Wilson | Jeffreys | half width | reviews | minutes |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (result.row() for result in results)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=MONTHS)
    months = parser.parse_args().months
    results = [simulate(scenario, months) for scenario in scenarios()]
    print("\n".join(table(results)))  # the table is the result
    lowest = min(result.coverage["published"] for result in results)
    print(f"\nThe published interval covers the error in at least {lowest:.3f} of {months:,} months.")


if __name__ == "__main__":
    main()
