"""The Model page."""

from botocore.exceptions import ClientError
from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import HTMLResponse

from console import drawing, monitoring, tradeoff_chart
from console.aws_errors import explain
from console.comparison import comparisons
from console.execution_history import Step
from console.measurements import measurements
from console.photo_records import DAYS
from console.retrainings import MAX_RUNS
from console.tradeoff import TradeOff
from console.web import views
from console.web.services import CurrentReviewer, CurrentServices, Services
from functions.shared.audit import WINDOW
from functions.shared.drift_report import describe_drift

router = APIRouter()


@router.get("/model")
def page(services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the Model page: the champion, its trade-off, its photos in production, its card and the history."""
    endpoint = services.champion.read()
    points = monitoring.recent(services.records, services.reviews)
    buckets = monitoring.buckets(points)
    trade_off = TradeOff.of(endpoint.champion, endpoint.threshold)
    runs, runs_problem = services.retrainings.list_newest()
    audit = services.records.audit()
    champion = endpoint.champion
    return services.pages.render(
        "model",
        reviewer,
        endpoint=endpoint,
        figures=views.model_figures(endpoint.champion),
        card=views.card(endpoint.champion),
        runs=runs,
        runs_problem=runs_problem,
        max_runs=MAX_RUNS,
        measured=measurements(champion, runs, audit, points, DAYS) if champion else [],
        points=points,
        scatter=drawing.scatter(points, endpoint.threshold) if points else None,
        mix=drawing.class_mix(buckets) if points else None,
        rates=drawing.rates(buckets) if points else None,
        summary=views.summary(points),
        drift=describe_drift(services.drift.read(), endpoint.champion.version if endpoint.champion else None),
        days=DAYS,
        audit=audit,
        audit_days=WINDOW.days,
        trade_off=trade_off,
        charts=tradeoff_chart.charts(trade_off) if trade_off else [],
        chart_size=(tradeoff_chart.WIDTH, tradeoff_chart.HEIGHT),
        chart_frame=tradeoff_chart.FRAME,
        size=(drawing.WIDTH, drawing.HEIGHT),
        frame=(drawing.LEFT, drawing.TOP, drawing.WIDTH - drawing.RIGHT, drawing.HEIGHT - drawing.BOTTOM),
    )


@router.get("/model/runs/{name}")
def run_page(name: str, services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page of one retraining. 404 when Step Functions has no such execution."""
    run = services.retrainings.get(name)
    if run is None:
        raise HTTPException(404, "There is no such retraining. Step Functions keeps one for 90 days.")
    report, report_problem = services.retrainings.report(run)
    steps, steps_problem = _read_steps(services, run.arn)
    return services.pages.render(
        "run",
        reviewer,
        title=f"Retraining {name}",
        run=run,
        compared=comparisons(run.output, report),
        report_problem=report_problem,
        steps=steps,
        steps_problem=steps_problem,
    )


def _read_steps(services: Services, execution: str) -> tuple[list[Step], str]:
    """Return the states of an execution and why they cannot be shown; one of both is empty."""
    try:
        return services.history.read_steps(execution), ""
    except ClientError as error:
        return [], explain(error)


@router.get("/model/{name}/card.png")
def card_image(name: str, services: CurrentServices) -> Response:
    """Return the image of a model's card. 404 when the Model page has not shown the model, or it has no image."""
    image = services.champion.card_image(name)
    if image is None:
        raise HTTPException(404, "This model card has no image.")
    return Response(image, media_type="image/png")
