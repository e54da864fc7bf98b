"""When an alarm rolls the champion back: only soon after its promotion, and only once.

An alarm long after a promotion has another cause than the new model, and a model that a rollback restored worked when
it was champion before, so rolling back further would not help. A person decides then.
"""

from datetime import datetime, timedelta

from functions.shared.champion import Champion

# The longest period of an alarm on the endpoint or the model (deploy/templates/alarms.yaml).
LONGEST_ALARM_PERIOD = timedelta(minutes=5)


def reason_to_ignore(
    champion: Champion, alarmed_at: datetime, now: datetime, window: timedelta, judged_at: str | None = None
) -> str | None:
    """Return why an alarm does not roll this champion back, as a sentence; None when it does.

    `judged_at` is when a challenger was last judged (ISO 8601). One that was withdrawn after it had failed in service
    leaves errors in the period of an alarm, which are not the champion's.

    EventBridge may deliver an event late or again, so an alarm from before the promotion is ignored too.
    """
    name = champion.model_version
    if champion.restored_at:
        return f"{name} was restored by a rollback at {champion.restored_at}; an alarm does not roll back further"
    if champion.promoted_at is None:
        return f"it is not known when {name} was promoted; an alarm rolls back only a new model"
    promoted_at = datetime.fromisoformat(champion.promoted_at)
    if alarmed_at < promoted_at:
        return f"the alarm went off before {name} was promoted at {champion.promoted_at}"
    judged = datetime.fromisoformat(judged_at) if judged_at else promoted_at
    if judged > promoted_at and alarmed_at - judged < LONGEST_ALARM_PERIOD:
        return f"a challenger was rejected at {judged_at}, and the alarm may be about its errors"
    if now - promoted_at > window:
        hours = window.total_seconds() / 3600
        return f"{name} was promoted at {champion.promoted_at}; an alarm rolls back only in the first {hours:g} hours"
    return None
