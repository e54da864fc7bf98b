"""Data capture: requests and responses of an endpoint as JSON lines in S3.

Source of keys and records: "Capture data from real-time endpoint", Amazon SageMaker AI Developer Guide.
"""

from __future__ import annotations

import base64
import json
import random
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from local.sagemaker.aws import Storage, start_thread

FLUSH_S = 2.0


class Capture:
    """Collects the invocations of one endpoint and writes a file per variant every FLUSH_S."""

    def __init__(self, endpoint: str, config: dict[str, Any], storage: Storage) -> None:
        self._endpoint = endpoint
        self._config = config
        self._storage = storage
        self._lines: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def record(self, variant: str, inference_id: str, sent: tuple[bytes, str], received: tuple[bytes, str]) -> None:
        """Capture an invocation with the configured probability; `sent` and `received` are (body, content type)."""
        if not self._config.get("EnableCapture", True):
            return
        chance = random.uniform(0, 100)  # noqa: S311 (a sample, not a secret)
        if chance > self._config["InitialSamplingPercentage"]:
            return
        modes = {option["CaptureMode"] for option in self._config["CaptureOptions"]}
        data = {}
        if modes & {"Input", "InputAndOutput"}:
            data["endpointInput"] = self._content(*sent, "INPUT")
        if modes & {"Output", "InputAndOutput"}:
            data["endpointOutput"] = self._content(*received, "OUTPUT")
        metadata = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        if inference_id:
            metadata["inferenceId"] = inference_id
        line = json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"})
        with self._lock:
            first = not any(self._lines.values())
            self._lines.setdefault(variant, []).append(line)
        if first:
            start_thread("data capture", self._flush_later)

    def flush(self) -> None:
        """Write the captured invocations to S3."""
        with self._lock:
            lines, self._lines = self._lines, {}
        now = datetime.now(UTC)
        for variant, written in lines.items():
            name = f"{now:%M-%S-%f}-{uuid.uuid4()}.jsonl"
            base = self._config["DestinationS3Uri"].rstrip("/")
            uri = f"{base}/{self._endpoint}/{variant}/{now:%Y/%m/%d/%H}/{name}"
            self._storage.put_text("\n".join(written) + "\n", uri)

    def _flush_later(self) -> None:
        threading.Event().wait(FLUSH_S)
        self.flush()

    def _content(self, body: bytes, content_type: str, mode: str) -> dict[str, str]:
        headers = self._config.get("CaptureContentTypeHeader", {})
        kind = content_type.split(";")[0].strip()
        if kind in headers.get("JsonContentTypes", ["application/json"]):
            encoding, data = "JSON", body.decode(errors="replace")
        elif kind in headers.get("CsvContentTypes", ["text/csv"]):
            encoding, data = "CSV", body.decode(errors="replace")
        else:
            encoding, data = "BASE64", base64.b64encode(body).decode()
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
