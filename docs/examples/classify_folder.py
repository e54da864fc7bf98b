"""Classify the photos of a folder in one batch; print a JSON line for each.

usage: classify_folder.py STAGE BATCH FOLDER, with credentials that have PartnerPolicy. BATCH names the batch: a second
run with the same name and folder classifies only the photos that have no result yet.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import boto3

POLL_S = 2


def classify_folder(stage: str, batch: str, folder: Path) -> list[dict[str, Any]]:
    """Return a result for each photo: its photo, `outcome`, `vehicle`, `confidence` and more (contract batch_result).

    Raises RuntimeError when photos have no result.
    """
    region = boto3.Session().region_name
    account = boto3.client("sts").get_caller_identity()["Account"]
    uploads, ml = (f"scones-{stage}-{kind}-{account}-{region}" for kind in ("uploads", "ml"))
    s3, states = boto3.client("s3"), boto3.client("stepfunctions")
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        s3.upload_file(str(file), uploads, f"batches/{batch}/{file.name}")
    execution = states.start_execution(
        stateMachineArn=f"arn:aws:states:{region}:{account}:stateMachine:scones-{stage}-classify-batch",
        input=json.dumps({"id": batch, "prefix": f"s3://{uploads}/batches/{batch}/"}),
    )["executionArn"]
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(POLL_S)
    if ended["status"] != "SUCCEEDED":
        raise RuntimeError(f"{execution} ended as {ended['status']}: {ended.get('error')}: {ended.get('cause')}")
    if json.loads(ended["output"])["status"] != "complete":
        raise RuntimeError(f"Photos of batch {batch} have no result. Run the same command again.")
    results = s3.get_object(Bucket=ml, Key=f"batches/{batch}/results.jsonl")["Body"]
    return [json.loads(line) for line in results.iter_lines()]


if __name__ == "__main__":
    for result in classify_folder(sys.argv[1], sys.argv[2], Path(sys.argv[3])):
        print(json.dumps(result))
