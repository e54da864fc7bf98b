"""S3: object keys with characters that XML 1.0 cannot contain.

Patches: ministack's `s3._xml_body` writes such characters as they are, so that a client cannot parse the response;
`_list_object_versions` and `_list_multipart_uploads` ignore encoding-type. On AWS, encoding-type=url encodes the keys
of every listing (Amazon S3 API Reference, "ListObjectVersions" and "ListMultipartUploads"). Without it, S3 writes a
character reference such as `&#x1;`, which XML 1.0 parsers refuse. A page of `_list_object_versions` repeats the last
key of the page before it when the bucket has no versioning.
"""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from ministack.services import s3

from local import patches

# A parser reads a carriage return as a line feed unless it is a reference.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
ENCODED = frozenset({"Key", "Prefix", "Delimiter", "KeyMarker", "NextKeyMarker"})
_encode: contextvars.ContextVar[bool] = contextvars.ContextVar("encode", default=False)


def _encoded_keys(root: Element) -> None:
    for element in root.iter():
        if element.tag in ENCODED and element.text:
            element.text = s3._url_encode(element.text)
    SubElement(root, "EncodingType").text = "url"


def install() -> None:
    """Apply the patches of this module."""

    def xml_body(root: Element) -> bytes:
        if _encode.get() and root.tag != "Error":
            _encoded_keys(root)
        text: str = original(root).decode()
        return UNSAFE.sub(lambda found: f"&#x{ord(found[0]):X};", text).encode()

    def encodable(listing: Callable[..., Any]) -> Callable[..., Any]:
        def list_keys(bucket_name: str, query_params: dict[str, Any]) -> Any:
            token = _encode.set(s3._qp(query_params, "encoding-type") == "url")
            try:
                return listing(bucket_name, query_params)
            finally:
                _encode.reset(token)

        return list_keys

    def list_versions(bucket_name: str, query_params: dict[str, Any]) -> Any:
        # A key without versions has one entry, the one that the markers name.
        if (bucket_name, s3._qp(query_params, "key-marker")) not in s3._object_versions:
            query_params = {name: value for name, value in query_params.items() if name != "version-id-marker"}
        return original_versions(bucket_name, query_params)

    original = patches.replace(s3, "_xml_body", "root", xml_body)
    original_versions = patches.replace(s3, "_list_object_versions", "bucket_name query_params", list_versions)
    for name in ("_list_object_versions", "_list_multipart_uploads"):
        listing = patches.expect(s3, name, "bucket_name query_params")
        patches.replace(s3, name, "bucket_name query_params", encodable(listing))
    patches.expect(s3, "_url_encode", "value")
    patches.expect(s3, "_qp", "params key default")
