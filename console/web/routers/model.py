"""The Model page."""

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import HTMLResponse

from console import drawing, monitoring, tradeoff_chart
from console.comparison import comparisons
from console.explorer import explore
from console.identity import Reviewer
from console.measurements import measurements
from console.mistakes import mistakes
from console.periods import PERIODS, choose_period
from console.photo_records import DAYS
from console.retrainings import MAX_RUNS, Run
from console.tradeoff import TradeOff, parse_share
from console.web import views
from console.web.roles import REVIEWERS
from console.web.services import CurrentReviewer, CurrentServices, Services
from functions.shared.audit import WINDOW
from functions.shared.drift_report import describe_drift
from functions.shared.times import now

router = APIRouter(dependencies=[Depends(REVIEWERS)])


@router.get("/model")
def page(services: CurrentServices, reviewer: CurrentReviewer, threshold: str = "", period: str = "") -> HTMLResponse:
    """Return the Model page: the champion, its trade-off, its photos in production, its card and the history.

    With `threshold`, a number from 0 to 1, it shows what that threshold would change. `period` is one of PERIODS.
    """
    endpoint = services.champion.read()
    taken = services.production.get()
    points = taken.value
    at = now()
    shown = choose_period(period, [point.at for point in points], at)
    axis = drawing.TimeAxis(shown, at, endpoint.records.values())
    buckets = monitoring.buckets(points, shown, at)
    trade_off = TradeOff.of(endpoint.champion, endpoint.threshold)
    runs, runs_problem = services.retrainings.list_newest()
    audit = services.audit.get().value
    champion = endpoint.champion
    record = endpoint.record(champion)
    own = [point for point in points if champion and point.model_version == champion.version]
    proposed, threshold_problem = _parse_threshold(threshold)
    return services.pages.render(
        "model",
        reviewer,
        endpoint=endpoint,
        figures=views.model_figures(endpoint.champion),
        card=views.card(endpoint.champion),
        may_operate=services.operations is not None,
        previous=record.previous if record else None,
        explored=explore(trade_off, own, endpoint.threshold, proposed) if proposed is not None else None,
        threshold_problem=threshold_problem,
        mistakes=mistakes(points),
        runs=runs,
        runs_problem=runs_problem,
        max_runs=MAX_RUNS,
        measured=measurements(champion, runs, audit, points, DAYS) if champion else [],
        points=points,
        points_read_at=taken.at,
        axis=axis,
        periods=PERIODS.values(),
        shapes=drawing.SHAPES,
        scatter=drawing.scatter(points, endpoint.threshold, axis),
        mix=drawing.class_mix(buckets, axis),
        rates=drawing.rates(buckets, axis),
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
        frame=drawing.FRAME,
    )


@router.get("/model/runs/{name}")
def run_page(name: str, services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page of one retraining. 404 when Step Functions has no such execution."""
    run = services.retrainings.get(name)
    if run is None:
        raise HTTPException(404, "There is no such retraining. Step Functions keeps one for 90 days.")
    return _render_run(f"Retraining {name}", run, services, reviewer)


@router.get("/model/rollbacks/{name}")
def rollback_page(name: str, services: CurrentServices, reviewer: CurrentReviewer) -> HTMLResponse:
    """Return the page of one rollback. 404 when Step Functions has no such execution."""
    run = services.retrainings.get(name, rollback=True)
    if run is None:
        raise HTTPException(404, "There is no such rollback. Step Functions keeps one for 90 days.")
    return _render_run(f"Rollback {name}", run, services, reviewer)


def _render_run(title: str, run: Run, services: Services, reviewer: Reviewer) -> HTMLResponse:
    report, report_problem = services.retrainings.report(run)
    steps, steps_problem = services.history.find_steps(run.arn)
    return services.pages.render(
        "run",
        reviewer,
        title=title,
        run=run,
        compared=comparisons(run.output, report),
        report_problem=report_problem,
        steps=steps,
        steps_problem=steps_problem,
    )


def _parse_threshold(text: str) -> tuple[float | None, str]:
    """Return the threshold of an address, and why it is none; both are empty without one."""
    if not text:
        return None, ""
    try:
        value = parse_share(float(text))
    except ValueError:  # refused below
        value = None
    return value, "" if value is not None else "A threshold is a number from 0 to 1, such as 0.95."


@router.get("/model/{name}/card.png")
def card_image(name: str, services: CurrentServices) -> Response:
    """Return the image of a model's card. 404 when the Model page has not shown the model, or it has no image."""
    image = services.champion.card_image(name)
    if image is None:
        raise HTTPException(404, "This model card has no image.")
    return Response(image, media_type="image/png")
