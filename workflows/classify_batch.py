"""classify-batch: many photos are classified, and none is decided.

Input: `{"id"?, "tolerated_failure_percentage"?, "review_unsure"?}` and one of `prefix`, `csv`, `jsonl`,
`inventory`: the address of a folder of photos, of a list of them, or of the manifest of an S3 Inventory. Output: the
detail of `Batch Completed`.

A Distributed Map reads the items and starts a child execution for each group of them. A child classifies its photos one
after the other, so there are never more photos of a batch at the endpoint than MaxConcurrency. Each result is recorded
when it is known, so an execution with the same id continues where another one ended.

Fields of the execution's data: `batch`, the answer of PrepareBatch; `mapped`, where the Map Run has written what its
children returned; `error`, the last error caught; `recorded`, the answer of SummarizeBatch.
"""

from typing import Any

from workflows.sdk import Chain, Choice, ChoiceRule, DistributedMap, Fail, Graph, LambdaStep, Pass, Succeed
from workflows.tasks import (
    EXECUTION,
    LAMBDA_TIMEOUT_S,
    lambda_parameters,
    on_error,
    publish_event,
    retry,
    retry_crashes,
    retry_transient,
    retry_unavailable,
)

# A photo takes 0.03 to 0.3 s, and the Lambda has five minutes; an input of 50 items has about 15 kB.
PHOTOS_PER_CHILD = 50
# SummarizeBatch writes the results of a million photos within 15 minutes.
SUMMARY_TIMEOUT_S = 930

# Ten million photos at 20 a second take six days. A batch that reaches the limit continues when it is started again.
TIMEOUT_S = 7 * 24 * 3600

UNAVAILABLE = ("PhotoUnavailable", "ModelUnavailable", "ThresholdUnavailable", "RecordUnavailable")

OBJECT = {"Bucket.$": "$.batch.bucket", "Key.$": "$.batch.key"}
GET, LIST = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"


def build() -> Any:
    """Return the SDK graph of classify-batch."""
    prepare_batch = LambdaStep(
        "PrepareBatch",
        comment="Check the input; add the limits of the stage.",
        parameters=lambda_parameters("PrepareBatch", {"request.$": "$", **EXECUTION}),
        asl={"ResultSelector": {"batch.$": "$.Payload"}},
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[retry_transient(), retry_crashes()],
    )
    where = Choice("WhereArePhotos?", comment="Branch on what names the photos: a folder, a list, or an inventory.")
    classify_folder = _classify(
        "Folder",
        "Classify the photos under a prefix.",
        {"Resource": LIST, "Parameters": {"Bucket.$": "$.batch.bucket", "Prefix.$": "$.batch.prefix"}},
    )
    classify_csv = _classify(
        "Csv",
        "Classify the photos of a CSV file, whose first line has the names of its columns.",
        _reader({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}),
    )
    classify_jsonl = _classify(
        "JsonLines", "Classify the photos of a JSON Lines file.", _reader({"InputType": "JSONL"})
    )
    classify_inventory = _classify(
        "Inventory", "Classify the photos of an S3 Inventory.", _reader({"InputType": "MANIFEST"})
    )
    locate_results = Pass(
        "LocateResults",
        comment="Keep where the Map Run has written what its children returned.",
        parameters={"manifest.$": "$.mapped.ResultWriterDetails.Key", "error": None},
        result_path="$.ended",
    )
    keep_error = Pass(
        "KeepError",
        comment="The Map Run failed: summarize what has a result.",
        parameters={"manifest": None, "error.$": "$.error"},
        result_path="$.ended",
    )
    summarize_batch = LambdaStep(
        "SummarizeBatch",
        comment="Write the results as JSON Lines, and their summary.",
        parameters=lambda_parameters(
            "SummarizeBatch",
            {"batch.$": "$.batch", "manifest.$": "$.ended.manifest", "error.$": "$.ended.error", **EXECUTION},
        ),
        asl={"ResultSelector": {"event.$": "$.Payload.event", "stopped_by.$": "$.Payload.stopped_by"}},
        result_path="$.recorded",
        timeout_seconds=SUMMARY_TIMEOUT_S,
        retry=[retry_unavailable(), retry_transient(), retry("RecordUnavailable", max_attempts=6), retry_crashes()],
    )
    publish = publish_event(
        "PublishBatchCompleted", "Publish `Batch Completed` with the counts.", detail_type="Batch Completed"
    )
    stopped = Choice("StoppedEarly?", comment="Branch on whether the Map Run failed, so that items were not read.")
    return_summary = Succeed(
        "ReturnSummary", comment="The counts, and where the results are.", output_path="$.recorded.event"
    )
    fail_execution = Fail(
        "FailExecution",
        comment="The batch stopped early. NotifyFailure notifies an operator.",
        asl={"ErrorPath": "$.recorded.stopped_by.error", "CausePath": "$.recorded.stopped_by.cause"},
    )

    Chain([prepare_batch, where])
    for kind, step in (("prefix", classify_folder), ("csv", classify_csv), ("jsonl", classify_jsonl)):
        where.add_choice(ChoiceRule.StringEquals("$.batch.kind", kind), step)
    where.default_choice(classify_inventory)
    for step in (classify_folder, classify_csv, classify_jsonl, classify_inventory):
        Chain([step, locate_results])
        on_error(step, ["States.ALL"], keep_error)
    Chain([locate_results, summarize_batch, publish, stopped])
    Chain([keep_error, summarize_batch])
    stopped.add_choice(ChoiceRule.IsNull("$.recorded.stopped_by", True), return_summary)
    stopped.default_choice(fail_execution)
    return Graph(
        prepare_batch, comment="Classifies many photos without deciding about them.", timeout_seconds=TIMEOUT_S
    )


def _reader(config: dict[str, Any]) -> dict[str, Any]:
    return {"Resource": GET, "ReaderConfig": config, "Parameters": OBJECT}


def _classify(source: str, comment: str, reader: dict[str, Any]) -> Any:
    """Return the Distributed Map over the items of a source."""
    classify_photos = LambdaStep(
        f"Classify{source}Photos",
        comment="Classify some photos, one after the other.",
        parameters=lambda_parameters(
            "ClassifyBatch", {"batch.$": "$.BatchInput.batch", "items.$": "$.Items", **EXECUTION}
        ),
        output_path="$.Payload",
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[
            # The function has a reserved concurrency, which all batches share.
            retry("Lambda.TooManyRequestsException", interval_s=2, max_attempts=200),
            retry_transient(),
            retry("BatchUnfinished", interval_s=1, max_attempts=100, max_delay_s=2),
            retry("ModelBusy", interval_s=2, max_attempts=30, max_delay_s=10),
            # Nobody waits for a batch, so it waits for an endpoint that is updated or an instance that starts.
            retry(*UNAVAILABLE, interval_s=5, max_attempts=10),
            retry_crashes(),
        ],
    )
    step = DistributedMap(
        f"Classify{source}",
        comment=comment,
        result_path="$.mapped",
        asl={
            "Label": source,
            "ItemReader": reader,
            "ItemBatcher": {"MaxItemsPerBatch": PHOTOS_PER_CHILD, "BatchInput": {"batch.$": "$.batch"}},
            "MaxConcurrencyPath": "$.batch.concurrency",
            "ToleratedFailurePercentagePath": "$.batch.tolerated_failure_percentage",
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "${MlBucket}", "Prefix.$": "States.Format('batches/{}/map-runs', $.batch.id)"},
                "WriterConfig": {"OutputType": "JSON", "Transformation": "COMPACT"},
            },
        },
    )
    step.attach_iterator(classify_photos)
    return step
