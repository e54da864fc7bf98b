"""Ask the model about one photo, and print its answer as JSON. Nothing is decided, recorded or published.

usage: ask_model.py STAGE PHOTO, with credentials that have PartnerPolicy.

`probabilities` has the calibrated probability of each class; `other` is none of the vehicles. Calibrated: of all photos
with the confidence 0.9, about 90% are of that class. Below `threshold`, classify-photo would ask a person. Which driver
goes where is decided by classify-photo alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

import boto3


class PhotoRefused(Exception):
    """The model cannot read the photo. Another attempt helps only after `DecoderBusy`."""


def ask_model(stage: str, photo: bytes) -> dict[str, Any]:
    """Return `vehicle`, `confidence`, `probabilities`, `threshold` and `model_version` (contract endpoint_answer).

    `photo` is a JPEG, PNG, WebP, HEIC or AVIF file. Raises PhotoRefused; ClientError when the endpoint does not answer.
    """
    response = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=f"scones-{stage}-vehicles",
        ContentType="application/x-image",
        Accept="application/json",
        Body=photo,
    )
    answer: dict[str, Any] = json.loads(response["Body"].read())
    # A photo that cannot be used is an answer, too: status 200.
    if "error" in answer:
        raise PhotoRefused(f"{answer['error']}: {answer['message']}")
    return answer


if __name__ == "__main__":
    try:
        print(json.dumps(ask_model(sys.argv[1], Path(sys.argv[2]).read_bytes())))
    except PhotoRefused as refused:
        sys.exit(str(refused))
