"""Lambda functions behave as on AWS: errors, isolation, logs, metrics, concurrency."""

from __future__ import annotations

import concurrent.futures
import json
import time

import psutil
import pytest

from tests.local.aws import ROLE, Aws, zip_file
from tests.support.waiting import eventually


def test_a_function_answers_and_its_output_is_in_its_log_group(aws: Aws) -> None:
    name = aws.create_function(
        """
        import logging
        def handler(event, context):
            print("printed", event["photo"])
            logging.getLogger().warning("logged")
            return {"photo": event["photo"], "request": context.aws_request_id, "stream": context.log_stream_name}
        """
    )
    answer, failed = aws.invoke(name, {"photo": "ü.jpg"})
    assert not failed
    assert answer["photo"] == "ü.jpg"
    messages = aws.log_messages(f"/aws/lambda/{name}")
    assert "printed ü.jpg" in messages
    assert any(m.startswith("[WARNING]\t") and m.endswith(f"{answer['request']}\tlogged") for m in messages)
    assert messages[-1].startswith("REPORT RequestId: ")
    assert "Init Duration: " in messages[-1]
    assert 5 < int(messages[-1].split("Max Memory Used: ")[1].split(" ")[0]) < 40
    aws.invoke(name, {"photo": "again.jpg"})
    assert "Init Duration: " not in aws.log_messages(f"/aws/lambda/{name}")[-1]
    streams = aws.client("logs").describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == [answer["stream"]]


def test_an_error_has_the_type_of_its_class_and_does_not_end_the_worker(aws: Aws) -> None:
    name = aws.create_function(
        """
        import os
        class PhotoMissing(Exception): pass
        def handler(event, context):
            if event: raise PhotoMissing("no such photo")
            return os.getpid()
        """
    )
    before, _ = aws.invoke(name)
    error, failed = aws.invoke(name, {"fail": True})
    assert failed
    assert error["errorType"] == "PhotoMissing"
    assert error["errorMessage"] == "no such photo"
    assert "app.py" in error["stackTrace"][-1]
    assert aws.invoke(name)[0] == before


@pytest.mark.parametrize(
    ("code", "error_type", "message"),
    [
        ("import rich\ndef handler(e, c): pass", "Runtime.ImportModuleError", "Unable to import module 'app': No"),
        ("def other(e, c): pass", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("def handler(e, c) pass", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("raise KeyError('BUCKET')", "KeyError", "'BUCKET'"),
        ("def handler(e, c): return object()", "Runtime.MarshalError", "Unable to marshal response"),
        ("import sys\ndef handler(e, c): sys.exit(3)", "Runtime.ExitError", "exit status 3"),
        ("import os\ndef handler(e, c): os.kill(os.getpid(), 9)", "Runtime.ExitError", "signal: 9"),
    ],
)
def test_errors_of_the_runtime_have_the_names_of_aws(aws: Aws, code: str, error_type: str, message: str) -> None:
    error, failed = aws.invoke(aws.create_function(code))
    assert failed
    assert error["errorType"] == error_type
    assert message in error["errorMessage"]


def test_a_handler_that_takes_too_long_is_ended(aws: Aws) -> None:
    name = aws.create_function("import time\ndef handler(e, c):\n print('before')\n time.sleep(60)", Timeout=1)
    error, failed = aws.invoke(name)
    assert failed
    assert error["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in error["errorMessage"]
    assert "before" in aws.log_messages(f"/aws/lambda/{name}")


def test_a_worker_can_import_its_zip_its_layers_and_boto3_only(aws: Aws) -> None:
    layer = aws.client("lambda").publish_layer_version(
        LayerName="first", Content={"ZipFile": zip_file({"python/vendored.py": "VALUE = 'layer'"})}
    )
    name = aws.create_function(
        {
            "app.py": """
            import os, sys, vendored, helper, boto3, dateutil
            def handler(event, context):
                try:
                    import pytest
                    raise RuntimeError("saw the virtual environment")
                except ModuleNotFoundError:
                    pass
                boto3.client("s3").list_buckets()
                return {"layer": vendored.VALUE, "helper": helper.VALUE, "names": sorted(os.environ), "path": sys.path,
                        "own": os.environ["OWN"]}
            """,
            "helper.py": "VALUE = 'zip'",
        },
        Layers=[layer["LayerVersionArn"]],
        Environment={"Variables": {"OWN": "yes"}},
    )
    answer, failed = aws.invoke(name)
    assert not failed, answer
    assert (answer["layer"], answer["helper"], answer["own"]) == ("layer", "zip", "yes")
    assert not any("site-packages" in entry for entry in answer["path"])
    assert {"AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "LAMBDA_TASK_ROOT", "AWS_ENDPOINT_URL"} <= set(answer["names"])
    assert not {"HOME", "PYTHONPATH", "GATEWAY_PORT", "LOCAL_AWS_DIR", "VIRTUAL_ENV"} & set(answer["names"])


def test_metric_lines_become_metrics(aws: Aws) -> None:
    name = aws.create_function(
        """
        import json, time
        def handler(event, context):
            print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [{
                "Namespace": "Tests", "Dimensions": [["service", "bay"], ["service"]],
                "Metrics": [{"Name": "Routed", "Unit": "Count"}, {"Name": "Confidence", "Unit": "None"}]}]},
                "service": "photos", "bay": "A", "Routed": 1, "Confidence": [0.5, 0.75]}))
        """
    )
    aws.invoke(name)
    metrics = aws.client("cloudwatch").list_metrics(Namespace="Tests")["Metrics"]
    assert len(metrics) == 4
    statistics = aws.client("cloudwatch").get_metric_statistics(
        Namespace="Tests",
        MetricName="Confidence",
        Dimensions=[{"Name": "service", "Value": "photos"}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=["Average", "SampleCount"],
    )["Datapoints"]
    assert [(point["Average"], point["SampleCount"]) for point in statistics] == [(0.625, 2)]


def test_calls_over_the_concurrency_limit_wait(aws: Aws) -> None:
    name = aws.create_function(
        """
        import os, time
        def handler(event, context):
            time.sleep(0.1)
            return os.getpid()
        """
    )
    with concurrent.futures.ThreadPoolExecutor(12) as callers:
        answers = list(callers.map(lambda _: aws.invoke(name), range(12)))
    assert not any(failed for _, failed in answers)
    assert 1 <= len({process for process, _ in answers}) <= 4


def test_a_function_that_calls_another_does_not_wait_for_its_own_slot(aws: Aws) -> None:
    inner = aws.create_function("def handler(e, c): return 'inner'")
    outer = aws.create_function(
        f"""
        import json, boto3
        client = boto3.client("lambda")
        def handler(event, context):
            return json.loads(client.invoke(FunctionName="{inner}")["Payload"].read())
        """
    )
    with concurrent.futures.ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda _: aws.invoke(outer), range(6)))
    assert answers == [("inner", False)] * 6


def test_new_code_is_used_and_a_running_call_finishes_on_the_old(aws: Aws) -> None:
    name = aws.create_function("import time\ndef handler(e, c):\n time.sleep((e or {}).get('sleep', 0))\n return 'old'")
    aws.invoke(name)
    with concurrent.futures.ThreadPoolExecutor(1) as caller:
        running = caller.submit(aws.invoke, name, {"sleep": 0.6})
        time.sleep(0.2)
        aws.client("lambda").update_function_code(
            FunctionName=name, ZipFile=zip_file("def handler(e, c): return 'new'")
        )
        assert aws.invoke(name) == ("new", False)
        assert running.result() == ("old", False)


def test_a_deleted_function_leaves_no_process(aws: Aws) -> None:
    name = aws.create_function("import os\ndef handler(e, c): return os.getpid()")
    process, _ = aws.invoke(name)
    assert psutil.pid_exists(process)
    aws.client("lambda").delete_function(FunctionName=name)
    assert eventually(lambda: not psutil.pid_exists(process))


@pytest.mark.parametrize("kind", ["Function", "LayerVersion"])
def test_a_stack_whose_code_does_not_exist_is_refused(aws: Aws, kind: str) -> None:
    where = {"S3Bucket": aws.create_bucket(), "S3Key": "missing.zip"}
    properties = {
        "Function": {"Code": where, "Handler": "app.handler", "Runtime": "python3.12", "Role": ROLE},
        "LayerVersion": {"Content": where},
    }[kind]
    template = {"Resources": {"Code": {"Type": f"AWS::Lambda::{kind}", "Properties": properties}}}
    formation, name = aws.client("cloudformation"), f"missing-code-{kind}"
    formation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    status = eventually(
        lambda: formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"],
        lambda found: not found.endswith("IN_PROGRESS"),
    )
    assert status in ("ROLLBACK_COMPLETE", "CREATE_FAILED")
    events = formation.describe_stack_events(StackName=name)["StackEvents"]
    assert any("The specified key does not exist" in event.get("ResourceStatusReason", "") for event in events)


def test_a_function_whose_code_does_not_exist_is_refused(aws: Aws) -> None:
    client = aws.client("lambda")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="The specified key does not exist"):
        client.create_function(
            FunctionName="missing",
            Runtime="python3.12",
            Role=ROLE,
            Handler="app.handler",
            Code={"S3Bucket": aws.create_bucket(), "S3Key": "missing.zip"},
        )
