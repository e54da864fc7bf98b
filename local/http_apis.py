"""API Gateway HTTP APIs: their addresses, requests that no route matches, throttling, permission to invoke a function.

Patches, with what ministack does instead:
- The address of an API is a path of this server. ministack's is a host name that is not resolved.
- "If no routes match a request, API Gateway returns {"message":"Not Found"}" ("Create routes for HTTP APIs"). ministack
  answers an IAM user as if a permission was missing.
- A stage throttles: "API Gateway fails the limit-exceeding requests and returns 429 Too Many Requests error responses",
  with a token bucket ("Throttle requests to your HTTP APIs"). ministack ignores the limits, also those of routes, which
  are not implemented here either.
- A function is invoked only if its policy allows API Gateway to; otherwise the client gets the status 500 ("Integration
  issues with AWS Lambda").

Source of the quotations: Amazon API Gateway Developer Guide.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack import app
from ministack.core.arn import execute_api_arn
from ministack.services import apigateway, lambda_svc
from ministack.services.cloudformation import provisioners

from local import patches, service_roles
from local.settings import Settings

SERVICE = "apigateway.amazonaws.com"
KIND = "AWS::ApiGatewayV2::Api"
Response = tuple[int, dict[str, str], bytes]


@dataclass
class TokenBucket:
    """Up to `burst` requests at once, and `rate` per second for a long time."""

    rate: float
    burst: float
    _tokens: float = field(init=False)
    _filled_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, at: float) -> bool:
        """Whether a request at the time `at` (seconds of the monotonic clock) is within the limit; count it if so."""
        self._tokens = min(self.burst, self._tokens + (at - self._filled_at) * self.rate)
        self._filled_at = at
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Throttle:
    """The token buckets of all stages. A stage whose limits have changed gets a full bucket."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = threading.Lock()

    def allows(self, api_id: str, stage: str) -> bool:
        settings = (apigateway._stages.get(api_id) or {}).get(stage, {}).get("defaultRouteSettings") or {}
        # CloudFormation's names, or those of the API.
        limits = {name.lower(): value for name, value in settings.items()}
        if "throttlingratelimit" not in limits:
            return True
        rate, burst = float(limits["throttlingratelimit"]), float(limits["throttlingburstlimit"])
        with self._lock:
            bucket = self._buckets.get((api_id, stage))
            if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
                bucket = self._buckets[api_id, stage] = TokenBucket(rate, burst)
            return bucket.take(time.monotonic())


def _respond(status: int, message: str) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps({"message": message}).encode()


def _may_invoke(integration: Mapping[str, Any], source: str) -> bool:
    """Whether the policy of the function of an integration allows API Gateway to invoke it for the ARN `source`."""
    arn = apigateway._extract_lambda_ref_from_integration_uri(integration.get("integrationUri", ""))
    policy: Any = (lambda_svc.function_policy_for_arn(arn) or ("",))[0]
    return service_roles.resource_policy_allows(policy, SERVICE, "lambda:InvokeFunction", arn, source)


def install(settings: Settings) -> None:
    """Apply the patches of this module."""
    throttle = _Throttle()

    def set_address(api_id: str) -> str:
        address = f"{settings.url}/_aws/execute-api/{api_id}"
        apigateway._apis[api_id]["apiEndpoint"] = address
        return address

    def create_api(data: dict[str, Any]) -> Any:
        created = original_create(data)
        if created[0] >= 400:
            return created
        api_id = json.loads(created[2])["apiId"]
        set_address(api_id)
        return apigateway._apigw_response(apigateway._apis[api_id], 201)

    def authorization_type(api_id: str, stage: str, method: str, execute_path: str) -> str | None:
        found: str | None = original_type(api_id, stage, method, execute_path)
        return "NONE" if found is None and apigateway.find_api_scope(api_id) is not None else found

    async def handle_execute(
        api_id: str,
        stage: str,
        path: str,
        method: str,
        headers: dict[str, str],
        body: bytes,
        query_params: Any,
        raw_query_string: Any = None,
    ) -> Any:
        if not throttle.allows(api_id, stage):
            return _respond(429, "Too Many Requests")
        return await original_execute(api_id, stage, path, method, headers, body, query_params, raw_query_string)

    async def invoke_lambda_proxy(
        integration: Any, api_id: str, stage: str, path: str, method: str, *rest: Any, **named: Any
    ) -> Any:
        source = execute_api_arn(named["owner_region"], named["owner_account_id"], api_id, stage, method, path)
        if not _may_invoke(integration, source):
            return _respond(500, "Internal Server Error")
        return await original_invoke(integration, api_id, stage, path, method, *rest, **named)

    original_create = patches.replace(apigateway, "_create_api", "data", create_api)
    parameters = "api_id stage method execute_path"
    original_type = patches.replace(app, "_execute_api_authorization_type", parameters, authorization_type)
    parameters = "api_id stage path method headers body query_params raw_query_string"
    original_execute = patches.replace(apigateway, "handle_execute", parameters, handle_execute)
    parameters = (
        "integration api_id stage path method headers body query_params route_key path_params authorizer_claims "
        "authorizer_scopes authorizer_lambda_context authorizer_iam owner_account_id owner_region raw_query_string"
    )
    original_invoke = patches.replace(apigateway, "_invoke_lambda_proxy", parameters, invoke_lambda_proxy)
    patches.expect(apigateway, "_extract_lambda_ref_from_integration_uri", "uri")
    handlers = patches.attribute(provisioners, "_RESOURCE_HANDLERS", dict)
    ministacks = handlers[KIND]

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
        api_id, attributes = ministacks["create"](logical_id, properties, stack_name)
        return api_id, {**attributes, "ApiEndpoint": set_address(api_id)}

    def update(physical_id: str, *arguments: Any) -> tuple[str, dict[str, Any]]:
        api_id, attributes = ministacks["update"](physical_id, *arguments)
        return api_id, {**attributes, "ApiEndpoint": set_address(api_id)}

    handlers[KIND] = {**ministacks, "create": create, "update": update}
