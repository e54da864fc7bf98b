"""S3: refuse the requests that a Deny statement of a bucket's policy denies, of every caller.

Patches: ministack evaluates bucket policies only when it enforces IAM, and never for the root user; it accepts any
policy. On AWS an explicit Deny applies to the bucket owner's root user too, except that this user may always read,
write and delete the policy (Amazon S3 User Guide, "Bucket policies"; IAM User Guide, "Policy evaluation logic").

Allow statements have no effect here. A Deny statement that cannot be evaluated here is refused with MalformedPolicy
when the policy is set, by PutBucketPolicy and by CloudFormation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from ministack.core import iam_actions, iam_evaluator, responses
from ministack.services import s3
from ministack.services.cloudformation import provisioners

from local import patches
from local.policy_documents import ARN, Caller, PolicyError, Request, denials

OWNER_ACTIONS = frozenset({"s3:PutBucketPolicy", "s3:GetBucketPolicy", "s3:DeleteBucketPolicy"})

# The query parameters that name the operation on an object, in the order in which ministack tests them.
OBJECT_OPERATIONS = {
    "GET": ("uploadId", "annotation", "tagging", "retention", "legal-hold", "acl", "attributes"),
    "PUT": ("annotation", "tagging", "retention", "legal-hold", "acl"),
    "POST": ("restore", "uploads", "uploadId"),
    "DELETE": ("uploadId", "annotation", "tagging"),
}

Query = Mapping[str, Any]


def _action(method: str, key: str, query: Query) -> str | None:
    """The action of a request for an object or, with an empty key, for a bucket."""
    if key:
        names = OBJECT_OPERATIONS.get(method, ())
        if method == "PUT" and "partNumber" in query and "uploadId" in query:
            names = ()
        operation = [name for name in names if name in query][:1]
        query = {name: query[name] for name in (*operation, "versionId", "annotationName") if name in query}
    name = iam_actions._s3_action(method, "/bucket/key" if key else "/bucket", query)
    return f"s3:{name}" if name else None


def _caller(access_key: str) -> Caller:
    account = responses.get_account_id()
    principal = iam_evaluator.resolve_principal(access_key, account) if access_key else None
    if not isinstance(principal, iam_evaluator.PrincipalInfo):
        return Caller(f"arn:aws:iam::{account}:root", account, is_root=True, user_id=account)
    return Caller(principal.arn, principal.account, principal.type == "Root", principal.keys["aws:userid"])


def _is_denied(request: Request, caller: Caller) -> bool:
    bucket = request.resource.removeprefix(ARN).partition("/")[0]
    policy = s3._bucket_policies.get(bucket)
    if not policy or (caller.is_root and request.action in OWNER_ACTIONS):
        return False
    return any(denial.applies(request, caller) for denial in denials(policy))


def _form_key(headers: Mapping[str, str], body: bytes) -> str:
    """The key of a form upload: the last field of that name, with the name of the file in place of its variable."""
    key = file_name = ""
    for name, filename, _headers, value in s3._parse_multipart_form(headers.get("content-type", ""), body):
        if name == "file":
            file_name = filename or ""
        elif name.lower() == "key":
            key = value.decode("utf-8", errors="replace")
    return key.replace("${filename}", file_name)


def _requests(
    method: str, bucket: str, key: str, headers: Mapping[str, str], body: bytes, query: Query, context: dict[str, str]
) -> Iterable[Request]:
    """The permissions that a request needs, except those of DeleteObjects."""
    action = _action(method, key, query)
    if not action:
        return
    target = key
    if method == "POST" and not key:
        target = _form_key(headers, body)
    path = f"/{bucket}/{key}" if key else f"/{bucket}"
    sent = iam_actions.s3_service_context(action, query, path, headers if action == "s3:PutObject" else None)
    own = {name.lower(): value for name, value in sent.items()}
    yield Request(action, f"{ARN}{bucket}/{target}" if target else f"{ARN}{bucket}", {**own, **context})
    source = iam_actions._s3_source_object(headers) if action == "s3:PutObject" and key else None
    if source:
        yield Request("s3:GetObjectVersion" if source[1] else "s3:GetObject", source[0], context)


def _refusal(request: Request, caller: Caller) -> str:
    return (
        f"User: {caller.arn} is not authorized to perform: {request.action} on resource: "
        f'"{request.resource}" with an explicit deny in a resource-based policy'
    )


def _split_deletions(bucket: str, root: Element, caller: Caller, context: dict[str, str]) -> list[tuple[str, str, str]]:
    """Remove the denied objects from a DeleteObjects request; return key, version and message of each."""
    denied = []
    for item in [child for child in root if child.tag.rpartition("}")[2] == "Object"]:
        named = {child.tag.rpartition("}")[2]: child.text or "" for child in item}
        key, version = named.get("Key", ""), named.get("VersionId", "")
        action = "s3:DeleteObjectVersion" if version else "s3:DeleteObject"
        request = Request(action, f"{ARN}{bucket}/{key}", context)
        if _is_denied(request, caller):
            root.remove(item)
            denied.append((key, version, _refusal(request, caller)))
    return denied


def _with_errors(body: bytes, denied: Iterable[tuple[str, str, str]]) -> bytes:
    """The response of DeleteObjects with one error per denied object."""
    root = s3.fromstring(body)
    for key, version, message in denied:
        error = SubElement(root, f"{{{s3.S3_NS}}}Error")
        texts = {"Key": key, "VersionId": version, "Code": "AccessDenied", "Message": message}
        for name, text in texts.items():
            if text:
                SubElement(error, f"{{{s3.S3_NS}}}{name}").text = text
    answer: bytes = s3._xml_body(root)
    return answer


def install() -> None:
    """Apply the patches of this module."""

    def dispatch(method: str, bucket: str, key: str, headers: dict[str, str], body: bytes, query_params: Query) -> Any:
        if not s3._bucket_policies.get(bucket) and "x-amz-copy-source" not in headers:
            return original(method, bucket, key, headers, body, query_params)
        caller = _caller(s3._request_access_key(method, key, headers, query_params, body))
        secure = str(iam_evaluator._request_origin.get()[1]).lower()
        context = {"aws:securetransport": secure, "aws:principalaccount": caller.account}
        if method == "POST" and not key and "delete" in query_params:
            try:
                root = s3.fromstring(body)
            except Exception:  # ministack answers MalformedXML.
                return original(method, bucket, key, headers, body, query_params)
            denied = _split_deletions(bucket, root, caller, context)
            status, answered, answer = original(method, bucket, key, headers, tostring(root), query_params)
            return status, answered, _with_errors(answer, denied) if denied and status == 200 else answer
        for request in _requests(method, bucket, key, headers, body, query_params, context):
            if _is_denied(request, caller):
                return s3._error("AccessDenied", _refusal(request, caller), 403, f"/{bucket}/{key}")
        return original(method, bucket, key, headers, body, query_params)

    def put_policy(name: str, body: bytes) -> Any:
        try:
            if name in s3._buckets:
                denials(body.decode(errors="replace"))
        except PolicyError as error:
            return s3._error("MalformedPolicy", str(error), 400, f"/{name}")
        return original_put_policy(name, body)

    original = patches.replace(s3, "_dispatch", "method bucket key headers body query_params", dispatch)
    original_put_policy = patches.replace(s3, "_put_bucket_policy", "name body", put_policy)
    handler = patches.attribute(provisioners, "_RESOURCE_HANDLERS", dict)["AWS::S3::BucketPolicy"]
    handler.update(create=_validated(handler["create"], 1), update=_validated(handler["update"], 2))
    patches.expect(s3, "_request_access_key", "method key headers query_params body")
    patches.expect(s3, "_parse_multipart_form", "content_type body")
    patches.expect(iam_actions, "_s3_action", "method path query_params")
    patches.expect(iam_actions, "_s3_source_object", "headers")
    patches.expect(iam_actions, "s3_service_context", "iam_action query_params path headers")
    patches.expect(iam_evaluator, "_principal_matches", "principal caller_arn")
    patches.expect(iam_evaluator, "resolve_principal", "access_key_id account_id credential")


def _validated(handler: Callable[..., Any], position: int) -> Callable[..., Any]:
    """A CloudFormation handler that refuses a malformed policy; its argument `position` has the new properties."""

    def validate(*arguments: Any) -> Any:
        try:
            denials(provisioners._policy_document_json(arguments[position]))
        except PolicyError as error:
            raise ValueError(str(error)) from error
        return handler(*arguments)

    return validate
