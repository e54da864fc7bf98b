"""`make cost`: the parts of the monthly cost, the quotas, and the shares of outcomes."""

import json
from pathlib import Path
from typing import Any

import pytest

import workflows
from deploy.package import ROOT
from operate import cost, cost_model, cost_paths, cost_stage
from operate.cost_console import console_usd_per_month
from operate.errors import CommandError

PRICES = json.loads((Path(cost_model.__file__).parent / "prices.json").read_text(encoding="utf-8"))
USAGE = cost_model.read_usage()


def stage() -> cost_model.Stage:
    return cost_stage.of_checkout(USAGE["lambda_ms"]["of"])


def of(photos_per_day: float, **shares: float) -> cost_model.Cost:
    """The cost with these shares of outcomes; the model decides the rest."""
    text = ",".join(f"{name}={share}" for name, share in shares.items())
    return cost_model.Cost(stage(), photos_per_day, cost.read_shares(text, USAGE["shares"]["of"]))


def usd(computed: cost_model.Cost, name: str) -> float:
    (part,) = [part for part in computed.parts() if part.name == name]
    return part.usd


def test_every_figure_has_its_source_and_every_collection_its_date() -> None:
    assert PRICES["collected"]
    assert USAGE["collected"]
    for named in (PRICES["prices"], PRICES["quotas"]):
        assert not [name for name, entry in named.items() if not entry["source"]]
    assert not [name for name, entry in PRICES["prices"].items() if not entry["region"]]
    assert not [name for name, entry in USAGE.items() if isinstance(entry, dict) and not entry["source"]]


def test_a_price_that_was_not_found_is_used_by_no_part() -> None:
    missing = {name for name, entry in PRICES["prices"].items() if entry["usd"] is None}
    source = Path(cost_model.__file__).read_text(encoding="utf-8")
    assert not [name for name in missing if name in source]


def test_the_transitions_are_those_of_the_definition() -> None:
    definition = json.loads(workflows.asl_path("classify-photo").read_text(encoding="utf-8"))
    decided = definition["States"]["Decided?"]
    before = cost_paths.paths(definition)["model"]
    definition["States"]["Added"] = {"Type": "Pass", "Next": "ReturnDecision"}
    for choice in decided["Choices"]:
        if choice["Next"] == "ReturnDecision":
            choice["Next"] = "Added"
    after = cost_paths.paths(definition)["model"]
    assert after.transitions == before.transitions + 1 == 5
    assert after.functions == before.functions == ("classify-photo",)


def test_the_functions_of_a_deployed_definition_are_found_by_their_arns() -> None:
    text = workflows.asl_path("classify-photo").read_text(encoding="utf-8")
    for folder in cost_stage.FUNCTIONS:
        logical = folder.title().replace("-", "")
        arn = f"arn:aws:lambda:eu-west-1:000000000000:function:scones-dev-{folder}"
        text = text.replace(f"${{{logical}FunctionArn}}", arn)
    assert cost_paths.paths(json.loads(text)) == cost_paths.paths(stage().definition)


def test_a_definition_without_the_way_of_an_outcome_is_named() -> None:
    definition: dict[str, Any] = {"StartAt": "Only", "States": {"Only": {"Type": "Succeed"}}}
    with pytest.raises(CommandError, match="no way from Only to ReturnDecision"):
        cost_paths.paths(definition)


def test_the_cost_of_a_photo_is_that_of_its_outcome() -> None:
    photos = 1000 * cost_model.DAYS
    idle = usd(of(1e-9), "Step Functions")
    by_model = usd(of(1000, reviewer=0.0), "Step Functions")
    assert by_model - idle == pytest.approx(photos * 4 * 0.000025)
    reviewed = usd(of(1000, reviewer=1.0), "Step Functions")
    assert reviewed - idle == pytest.approx(photos * 8 * 0.000025)


def test_an_idle_stage_costs_its_endpoint_and_its_alarms() -> None:
    parts = {part.name: part for part in of(1e-9).parts()}
    assert parts["endpoint"].usd == pytest.approx(730 * 0.128)
    assert sum(part.usd for part in parts.values()) == pytest.approx(
        sum(part.fixed for part in parts.values()), abs=0.01
    )


def test_the_endpoint_has_the_instances_that_the_load_needs() -> None:
    assert (of(1000).instances, of(1000).peak_instances) == (1, 1)
    large = of(10_000_000)
    assert large.instances == 7
    assert large.peak_instances == 21


def test_the_index_is_the_first_quota_that_does_not_suffice() -> None:
    assert all(quota.share < 0.02 for quota in of(100_000).quotas())
    exceeded = [quota.name for quota in of(10_000_000).quotas() if quota.share > 1]
    assert exceeded == ["write units per second on one key of an index", "StartExecution per second"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reviewer", "reviewer"),
        ("reviewer=1.5", "reviewer=1.5"),
        ("model=0.5", "model=0.5"),
        ("lost=0.1", "lost=0.1"),
        ("reviewer=0.7,fallback=0.7", "add up to 1.4"),
    ],
)
def test_wrong_shares_are_refused_with_their_reason(text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        cost.read_shares(text, USAGE["shares"]["of"])


def test_the_model_decides_what_no_share_names() -> None:
    shares = cost.read_shares("reviewer=0.05, rejected=0.01", USAGE["shares"]["of"])
    assert shares == pytest.approx({"model": 0.94, "reviewer": 0.05, "fallback": 0, "rejected": 0.01, "excess": 0})


def test_the_report_has_the_parts_and_their_sum(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "cost.json"
    cost.run(of(100_000), None, report)
    written = json.loads(report.read_text(encoding="utf-8"))
    assert written["usd_per_month"] == pytest.approx(sum(part["usd"] for part in written["parts"]), abs=0.1)
    assert written["prices"]["collected"] == PRICES["collected"]
    assert written["transitions_per_photo"]["model"] == 4


@pytest.mark.parametrize("page", ["README.md", "docs/cost.md"])
def test_the_tables_of_the_pages_are_computed(page: str) -> None:
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    rows = {
        row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]]
        for row in text.splitlines()
        if row.startswith("| ")
    }
    costs = [cost_model.Cost(stage(), photos) for photos in (1_000, 100_000, 10_000_000)]
    for name in ("endpoint", "Step Functions", "S3 storage", "DynamoDB writes"):
        assert rows[name][:3] == [f"{usd(one, name):,.0f}" for one in costs], name
    assert rows["together"][:3] == [f"{sum(part.usd for part in one.parts()):,.0f}" for one in costs]


def test_the_page_has_the_cost_of_the_console_behind_a_load_balancer() -> None:
    parts = console_usd_per_month(PRICES["prices"])
    page = " ".join((ROOT / "docs" / "cost.md").read_text(encoding="utf-8").split())
    task, balancer, addresses = (f"{parts[name]:.0f}" for name in ("task", "load balancer", "public addresses"))
    assert f"{sum(parts.values()):.0f} dollars a month, of which the task (half a vCPU and 2 GB) is {task}," in page
    assert f"the load balancer {balancer} and three public IPv4 addresses {addresses}." in page
    hosting = (ROOT / "docs" / "console-hosting.md").read_text(encoding="utf-8")
    assert f"[{sum(parts.values()):.0f} dollars a month]" in hosting
