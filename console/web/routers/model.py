"""The Model page."""

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import HTMLResponse

from console import drawing, monitoring, tradeoff_chart
from console.photo_records import DAYS
from console.tradeoff import TradeOff
from console.web import views
from console.web.services import CurrentReviewer, CurrentServices
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
    return services.pages.render(
        "model",
        reviewer,
        endpoint=endpoint,
        figures=views.model_figures(endpoint.champion),
        card=views.card(endpoint.champion),
        points=points,
        scatter=drawing.scatter(points, endpoint.threshold) if points else None,
        mix=drawing.class_mix(buckets) if points else None,
        rates=drawing.rates(buckets) if points else None,
        summary=views.summary(points),
        drift=describe_drift(services.drift.read(), endpoint.champion.version if endpoint.champion else None),
        days=DAYS,
        audit=services.records.audit(),
        audit_days=WINDOW.days,
        trade_off=trade_off,
        charts=tradeoff_chart.charts(trade_off) if trade_off else [],
        chart_size=(tradeoff_chart.WIDTH, tradeoff_chart.HEIGHT),
        chart_frame=tradeoff_chart.FRAME,
        size=(drawing.WIDTH, drawing.HEIGHT),
        frame=(drawing.LEFT, drawing.TOP, drawing.WIDTH - drawing.RIGHT, drawing.HEIGHT - drawing.BOTTOM),
    )


@router.get("/model/{name}/card.png")
def card_image(name: str, services: CurrentServices) -> Response:
    """Return the image of a model's card. 404 when the Model page has not shown the model, or it has no image."""
    image = services.champion.card_image(name)
    if image is None:
        raise HTTPException(404, "This model card has no image.")
    return Response(image, media_type="image/png")
