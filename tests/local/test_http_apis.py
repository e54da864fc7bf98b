"""HTTP APIs of API Gateway."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import local
from local.http_apis import TokenBucket
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key, exchange, signed_headers
from tests.local.test_service_roles import create_role
from tests.support import embedded_aws
from tests.support.network import free_port

ECHO = """
    import json
    def handler(event, context):
        return {"statusCode": 200, "body": json.dumps({"route": event["routeKey"], **event["pathParameters"]})}
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An embedded AWS that enforces what services may do."""
    settings = local.Settings(port=free_port(), directory=tmp_path_factory.mktemp("aws"))
    with embedded_aws.started(settings) as server:
        yield Aws(server)


class Api:
    """An HTTP API with the route `GET /people/{name}`, which needs IAM, and a stage."""

    def __init__(self, aws: Aws, *, permitted: bool = True, **limits: float) -> None:
        self.aws = aws
        self.gateway: Any = aws.client("apigatewayv2")
        function = aws.create_function(ECHO, Role=create_role(aws, "lambda.amazonaws.com"))
        arn = aws.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        created = self.gateway.create_api(Name="people", ProtocolType="HTTP")
        self.id, self.url = created["ApiId"], created["ApiEndpoint"]
        integration = self.gateway.create_integration(
            ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        self.gateway.create_route(
            ApiId=self.id,
            RouteKey="GET /people/{name}",
            AuthorizationType="AWS_IAM",
            Target=f"integrations/{integration}",
        )
        settings = {"DefaultRouteSettings": limits} if limits else {}
        self.gateway.create_stage(ApiId=self.id, StageName="main", AutoDeploy=True, **settings)
        if permitted:
            source = f"arn:aws:execute-api:{aws.server.region}:000000000000:{self.id}/main/*"
            aws.client("lambda").add_permission(
                FunctionName=function,
                StatementId="api",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=source,
            )

    def __call__(self, method: str, path: str, key: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send a signed request; return status and body."""
        path = f"{self.url.removeprefix(self.aws.server.url)}/main{path}"
        headers = signed_headers(self.aws, method, path, service="execute-api", **(key or {}))
        response, body = exchange(self.aws, method, path, headers=headers)
        return response.status, json.loads(body)


@pytest.fixture
def user(aws: Aws) -> dict[str, str]:
    """The key of an IAM user who may send GET requests to /people/ada of every API."""
    name = f"user-{uuid.uuid4().hex[:8]}"
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    resource = f"arn:aws:execute-api:{aws.server.region}:000000000000:*/main/GET/people/ada"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    iam.put_user_policy(
        UserName=name, PolicyName="a", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"key_id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def test_an_api_has_an_address_on_this_server(aws: Aws) -> None:
    api = Api(aws)
    assert api.url.startswith(f"{aws.server.url}/")
    assert api.gateway.get_api(ApiId=api.id)["ApiEndpoint"] == api.url
    assert api("GET", "/people/ada") == (200, {"route": "GET /people/{name}", "name": "ada"})


def test_a_user_may_send_what_their_policy_allows(aws: Aws, user: dict[str, str]) -> None:
    api = Api(aws)
    assert api("GET", "/people/ada", user)[0] == 200
    for path in ("/people/bob", "/people/ada%2f..%2fbob", "/people/%61da%00"):
        assert api("GET", path, user)[0] in (403, 404), path


def test_a_request_that_no_route_matches_is_not_found_whatever_the_policy_allows(
    aws: Aws, user: dict[str, str]
) -> None:
    api = Api(aws)
    for method, path in (("POST", "/people/ada"), ("GET", "/people/bob/x"), ("GET", "/"), ("DELETE", "/people/bob")):
        assert api(method, path, user) == (404, {"message": "Not Found"}), (method, path)


def test_an_api_without_permission_for_its_function_answers_500(aws: Aws) -> None:
    assert Api(aws, permitted=False)("GET", "/people/ada") == (500, {"message": "Internal Server Error"})


def test_requests_over_the_limit_of_a_stage_are_refused(aws: Aws) -> None:
    api = Api(aws, ThrottlingRateLimit=0.001, ThrottlingBurstLimit=2)
    answers = [api("GET", "/people/ada") for _ in range(3)]
    assert answers[1:] == [
        (200, {"route": "GET /people/{name}", "name": "ada"}),
        (429, {"message": "Too Many Requests"}),
    ]


def test_an_api_survives_down_and_up(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws")
    server, _ = local.start(settings)
    try:
        api = Api(Aws(server))
        assert local.stop(settings)
        api.aws = Aws(local.start(settings)[0])
        assert api("GET", "/people/ada") == (200, {"route": "GET /people/{name}", "name": "ada"})
    finally:
        local.stop(settings)


def test_a_token_bucket_refills_at_its_rate() -> None:
    bucket = TokenBucket(rate=2, burst=3, _filled_at=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.5)] == [True, False]
    assert [bucket.take(200.0) for _ in range(4)] == [True, True, True, False]


def test_the_address_of_an_api_in_a_stack_is_an_attribute(aws: Aws) -> None:
    template = {
        "Resources": {"Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "a", "ProtocolType": "HTTP"}}},
        "Outputs": {"Url": {"Value": {"Fn::GetAtt": ["Api", "ApiEndpoint"]}}},
    }
    cloudformation: Any = client_with_key(aws, "cloudformation")
    name = f"stack-{uuid.uuid4().hex[:8]}"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (output,) = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    assert output["OutputValue"].startswith(f"{aws.server.url}/_aws/execute-api/")
