"""The drivers' API in the template: off by default, limited, and the only way to an upload form."""

import json
from typing import Any

from deploy.settings import given_settings
from deploy.target import Target
from deploy.templates import load_template

APP: dict[str, Any] = load_template("app")
PARTS = {
    name: one
    for name, one in APP["Resources"].items()
    if one["Type"].startswith("AWS::ApiGatewayV2::") or name.startswith("AnswerDriver")
}


def test_a_stage_has_no_api_unless_it_is_asked_for() -> None:
    assert len(PARTS) == 11
    assert {one.get("Condition") for one in PARTS.values()} == {"HasDriverApi"}
    assert APP["Outputs"]["DriverApiUrl"]["Condition"] == "HasDriverApi"
    assert given_settings(Target("aws", "dev"), APP, {})["DriverApi"] == "no"


def test_requests_are_limited() -> None:
    (stage,) = [one["Properties"] for one in PARTS.values() if one["Type"] == "AWS::ApiGatewayV2::Stage"]
    limits = stage["DefaultRouteSettings"]
    assert limits["ThrottlingRateLimit"] == limits["ThrottlingBurstLimit"] == {"Ref": "DriverApiRate"}


def test_only_this_api_invokes_the_function() -> None:
    permissions = [
        one["Properties"]
        for one in APP["Resources"].values()
        if one["Type"] == "AWS::Lambda::Permission"
        and one["Properties"]["FunctionName"] == {"Ref": "AnswerDriverFunction"}
    ]
    (permission,) = permissions
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${DriverHttpApi}/scones-${Stage}/*")


def test_no_other_role_may_upload_photos() -> None:
    may = {
        name
        for name, role in APP["Resources"].items()
        if role["Type"] == "AWS::IAM::Role"
        for policy in role["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:PutObject" in json.dumps(statement["Action"]) and "${UploadsBucket}" in json.dumps(statement["Resource"])
    }
    assert may == {"AnswerDriverRole"}


def test_a_driver_may_request_the_paths_of_the_tag_and_of_the_stage_only() -> None:
    statements = load_template("people")["Resources"]["DriverPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (requests,) = [one for one in statements if one["Action"] == "execute-api:Invoke"]
    paths = [one["Fn::Sub"].partition("${AWS::AccountId}:")[2] for one in requests["Resource"]]
    driver = "drivers/${!aws:PrincipalTag/driver}"
    assert paths == [f"*/scones-${{Stage}}/POST/{driver}/uploads", f"*/scones-${{Stage}}/GET/{driver}/*"]
