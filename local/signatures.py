"""Verify the signatures of requests (Signature Version 4).

Sources: "AWS Signature Version 4 for API requests" (IAM User Guide) and "Authenticating Requests" (Amazon S3 API
Reference). The signature is in the Authorization header, in the query string (presigned) or in a form. The body is
signed as a whole, in chunks, or not at all, as the header x-amz-content-sha256 states.

ministack never verifies signatures of the root user, and those of others only when it enforces IAM. This module calls
`sigv4.header_signature_failure` (computes the signature), `iam_evaluator._sigv2_check` (S3's older presigned URLs) and
`iam_evaluator.resolve_credential` (secrets of the root user, IAM users and STS sessions).
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs, quote

from botocore.auth import HmacV1Auth
from ministack.core import iam_evaluator, responses, router, sigv4
from ministack.services import s3

from local import patches

CLOCK_SKEW_S = 15 * 60
LONGEST_PRESIGNED_S = 7 * 24 * 3600
SCOPE = r"([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request"
AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={SCOPE}, ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{{64}})"
)
V4_QUERY = frozenset(
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"}
)
V2_QUERY = frozenset({"AWSAccessKeyId", "Signature", "Expires"})
CREDENTIAL_QUERY = frozenset({"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid"})
FORM = re.compile(r"multipart/form-data\s*;", re.IGNORECASE)
HASH = re.compile(r"[0-9a-f]{64}")
SIGNED_CHUNKS = frozenset({"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"})
UNSIGNED = frozenset({sigv4.UNSIGNED_PAYLOAD, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
Read = Callable[[], Awaitable[list[bytes]]]


class Refused(Exception):
    """A request is not authenticated; `code` is AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Request:
    """The signed parts of a request except its body. Header names are in lower case."""

    method: str
    path: str
    raw_path: str
    headers: dict[str, str] = field(repr=False)
    query: dict[str, list[str]] = field(repr=False)

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> Request:
        """The request of an ASGI scope; raises Refused when a header of the signature was sent twice."""
        headers: dict[str, str] = {}
        for raw_name, value in scope["headers"]:
            name, text = raw_name.decode("latin-1").lower(), sigv4.decode_header_value(value)
            if name in headers and (name == "authorization" or name.startswith("x-amz-")):
                raise Refused("IncompleteSignature", f"The header {name} was sent twice.")
            headers[name] = f"{headers[name]},{text}" if name in headers else text
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return cls(scope["method"], scope["path"], raw_path.decode("latin-1"), headers, query)


async def verify(request: Request, read: Read) -> None:
    """Raise Refused unless the request has a valid signature with a known secret, the current time and this body.

    `read` returns the parts of the body. It is called after the access key has been checked.
    """
    if "authorization" in request.headers:
        if any(name.lower() in CREDENTIAL_QUERY for name in request.query):
            raise Refused("InvalidArgument", "Only one auth mechanism allowed.")
        await _verify_header(request, read)
    elif request.query.keys() >= V4_QUERY:
        await _verify_presigned(request, read)
    elif request.query.keys() >= V2_QUERY:
        _verify_old_presigned(request)
    elif request.method == "POST" and FORM.match(request.headers.get("content-type", "")):
        await _verify_form(request, read)
    else:
        raise Refused("MissingAuthenticationToken", "The request is not signed.")


async def _verify_header(request: Request, read: Read) -> None:
    found = AUTHORIZATION.fullmatch(request.headers["authorization"])
    if found is None:
        raise Refused("IncompleteSignature", "The Authorization header is not that of AWS4-HMAC-SHA256.")
    signature = sigv4.HeaderSignature(*found.groups(), request.headers.get("x-amz-date", ""))
    if abs(time.time() - _seconds(signature.amz_date)) > CLOCK_SKEW_S:
        raise Refused("RequestTimeTooSkewed", "The time of the request differs too much from that of the server.")
    secret = _secret(signature.access_key_id, request.headers.get("x-amz-security-token"))
    stated = request.headers.get("x-amz-content-sha256")
    await _compare(request, signature, secret, stated, read, presigned=False)


async def _verify_presigned(request: Request, read: Read) -> None:
    values = {name: _only(request, name) for name in V4_QUERY}
    scope = re.fullmatch(SCOPE, values["X-Amz-Credential"])
    if scope is None or values["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or not values["X-Amz-Expires"].isdecimal():
        raise Refused("AuthorizationQueryParametersError", "The query string is not that of AWS4-HMAC-SHA256.")
    signature = sigv4.HeaderSignature(
        *scope.groups(), values["X-Amz-SignedHeaders"], values["X-Amz-Signature"], values["X-Amz-Date"]
    )
    age_s = time.time() - _seconds(signature.amz_date)
    if not -CLOCK_SKEW_S <= age_s <= min(int(values["X-Amz-Expires"]), LONGEST_PRESIGNED_S):
        raise Refused("AccessDenied", "Request has expired.")
    token = _only(request, "X-Amz-Security-Token") if "X-Amz-Security-Token" in request.query else None
    secret = _secret(signature.access_key_id, token)
    stated = sigv4.UNSIGNED_PAYLOAD if signature.service == "s3" else None
    await _compare(request, signature, secret, stated, read, presigned=True)


async def _compare(
    request: Request,
    signature: sigv4.HeaderSignature,
    secret: str,
    stated: str | None,
    read: Read,
    presigned: bool,
) -> None:
    """Compare the signature with a computed one; `stated` is the hash of the body, None to compute it."""
    # ministack determines the caller itself. It must be the caller that is verified here.
    if router.extract_access_key_id(request.headers, request.query) != signature.access_key_id:
        raise Refused("IncompleteSignature", "The request contains two access keys.")
    signed = signature.signed_headers.split(";")
    unsigned_headers = [name for name in request.headers if name.startswith("x-amz-") and name not in signed]
    if "host" not in signed or unsigned_headers:
        raise Refused(
            "AccessDenied", f"There were headers present in the request which were not signed: {unsigned_headers}"
        )
    body = await read()
    if stated is None or HASH.fullmatch(stated):
        actual = _hash(body)
        if stated is not None and not compare_digest(stated, actual):
            raise Refused("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' is not that of the body.")
        stated = actual
    elif stated not in SIGNED_CHUNKS | UNSIGNED:
        raise Refused("InvalidRequest", "The value of 'x-amz-content-sha256' is unknown.")
    failure = sigv4.header_signature_failure(
        signature,
        secret,
        request.method,
        request.raw_path,
        request.query,
        {**request.headers, "x-amz-content-sha256": stated},
        b"".join(body) if stated in SIGNED_CHUNKS else b"",
        presigned=presigned,
    )
    if failure is not None:
        raise Refused(*failure)


def _verify_old_presigned(request: Request) -> None:
    """Signature Version 2, boto3's default for presigned URLs of S3. It signs few of the query parameters."""
    key_id = {name: _only(request, name) for name in V2_QUERY}["AWSAccessKeyId"]
    covered = V2_QUERY | {"x-amz-security-token"} | set(HmacV1Auth.QSAOfInterest)
    if not request.query.keys() <= covered or request.path.startswith("/_"):
        raise Refused("AccessDenied", "The query string has parameters which were not signed.")
    if router.detect_service(request.method, request.path, request.headers, request.query) != "s3":
        raise Refused("AccessDenied", "Signature Version 2 is for presigned URLs of S3.")
    signed = iam_evaluator.SignedRequest(
        key_id, request.method, request.raw_path, request.query, request.headers, sigv2=True, auth_path=request.raw_path
    )
    # Refuses an unknown key.
    _secret(key_id, iam_evaluator._SESSION_TOKEN_NOT_CHECKED)
    checked = iam_evaluator._sigv2_check(signed, responses.get_account_id())
    if isinstance(checked, iam_evaluator.AuthError):
        raise Refused(checked.code, checked.message)


async def _verify_form(request: Request, read: Read) -> None:
    """A form upload to a bucket, signed in its fields ("Browser-based uploads using POST", Amazon S3 API Reference).

    The signature is that of the policy in the form, which ministack compares with the other fields.
    """
    if "/" in request.path.strip("/") or request.query:
        raise Refused("AccessDenied", "A form can be sent to a bucket only.")
    body = b"".join(await read())
    parts = s3._parse_multipart_form(request.headers["content-type"], body)
    fields = {name.lower(): value.decode("latin-1") for name, _file, _headers, value in parts if name != "file"}
    scope = re.fullmatch(SCOPE, fields.get("x-amz-credential", ""))
    if scope is None or scope[4] != "s3" or not HASH.fullmatch(fields.get("x-amz-signature", "")):
        raise Refused("AccessDenied", "The form has no signature of AWS4-HMAC-SHA256 for S3.")
    secret = _secret(scope[1], fields.get("x-amz-security-token"))
    computed = sigv4.calculate_signature(secret, scope[2], scope[3], "s3", fields.get("policy", ""))
    if not compare_digest(computed, fields["x-amz-signature"]):
        raise Refused("SignatureDoesNotMatch", "The signature of the form does not match its policy.")


def _secret(key_id: str, token: Any) -> str:
    """The secret of an access key; raises Refused when the key is unknown or its session token is not `token`."""
    if key_id == "test":
        # ministack accepts this key for the root user.
        raise _unknown(key_id)
    try:
        account = iam_evaluator.find_iam_access_key_account(key_id)
    except iam_evaluator.AmbiguousAccessKeyError as error:
        raise _unknown(key_id) from error
    responses.set_request_account_id(account or key_id)
    credential = iam_evaluator.resolve_credential(key_id, responses.get_account_id(), token)
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        raise Refused(credential.code, credential.message) if "Expired" in credential.code else _unknown(key_id)
    return str(credential.secret_access_key)


def _unknown(key_id: str) -> Refused:
    return Refused(
        "UnrecognizedClientException",
        f"The access key {key_id[:4]}… or its session token is not valid for this embedded AWS, which creates a new "
        'key at each start. Use the current key: eval "$(make -s credentials)"',
    )


def _only(request: Request, name: str) -> str:
    values = request.query[name]
    if len(values) != 1:
        raise Refused("AuthorizationQueryParametersError", f"The query parameter {name} was sent {len(values)} times.")
    return values[0]


def _seconds(stamp: str) -> float:
    moment = sigv4._amz_datetime(stamp)
    if moment is None:
        raise Refused("IncompleteSignature", "The request has no date of the form 20260101T120000Z.")
    return float(moment.timestamp())


def _hash(body: list[bytes]) -> str:
    digest = sha256()
    for part in body:
        digest.update(part)
    return digest.hexdigest()


def install() -> None:
    """Check that ministack has the functions that this module calls."""
    patches.expect(
        sigv4,
        "header_signature_failure",
        "signature secret method raw_path query_params headers body presigned explain",
    )
    patches.expect(sigv4, "_amz_datetime", "value")
    patches.expect(sigv4, "calculate_signature", "secret date_stamp region service string_to_sign")
    patches.expect(s3, "_parse_multipart_form", "content_type body")
    patches.expect(iam_evaluator, "resolve_credential", "access_key_id account_id session_token")
    patches.expect(iam_evaluator, "_sigv2_check", "request account_id")
    patches.expect(router, "extract_access_key_id", "headers query_params")
    patches.expect(router, "detect_service", "method path headers query_params")
