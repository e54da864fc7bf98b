"""What needs the attention of reviewers: a drift, of which more photos are audited."""

import threading
import time

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.champion import ModelTable
from functions.shared.drift_state import Drift, DriftTable

_CACHE_S = 30.0


class Attention:
    """Reads whether the photos of the champion drift."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read the model table of one stage."""
        self._drift = DriftTable(deployed.model_table, aws.dynamodb)
        self._models = ModelTable(deployed.model_table, aws.dynamodb)
        self._lock = threading.Lock()
        self._read: tuple[float, str | None] | None = None  # the time of the reading, the text

    def text(self) -> str | None:
        """Return what reviewers should know now, or None. Cached for 30 seconds. Raises ClientError, BotoCoreError."""
        with self._lock:
            if self._read is None or time.monotonic() - self._read[0] > _CACHE_S:
                self._read = (time.monotonic(), self._find())
            return self._read[1]

    def _find(self) -> str | None:
        state, champion = self._drift.read(), self._models.champion()
        if state is None or state.drift is None or champion is None or state.model_version != champion.model_version:
            return None
        return describe(state.drift)


def describe(drift: Drift) -> str:
    """Return what a drift means for reviewers."""
    names = ", ".join(one.statistic for one in drift.statistics)
    text = f"The photos have changed since {drift.since[:16].replace('T', ' ')} UTC ({names})."
    if drift.share:
        text += f" {float(drift.share):.0%} of the model's decisions are audited until it ends."
    if drift.retraining_at:
        return f"{text} A retraining was requested; look at new photos with care."
    return f"{text} {drift.labels} of {drift.required} labels for a retraining: please answer the audits, too."
