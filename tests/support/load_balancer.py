"""What an Application Load Balancer with the action authenticate-oidc adds to requests, signed with keys of its own."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from console.load_balancer import DATA_HEADER, IDENTITY_HEADER

ISSUER = "https://idp.example.org"
CLIENT = "console-client"
KEY_ID = "12345678-1234-1234-1234-123456789012"
VALID_S = 120


def arn(stage: str) -> str:
    """Return the ARN of the load balancer of a stage."""
    return (
        f"arn:aws:elasticloadbalancing:eu-west-1:000000000000:loadbalancer/app/scones-{stage}-console/50dc6c495c0c9188"
    )


class Signer:
    """The load balancer of a stage: it signs claims as an Application Load Balancer does, with padding."""

    def __init__(self, stage: str = "test", key_id: str = KEY_ID) -> None:
        """Make a new key, whose id is `key_id`."""
        self.arn = arn(stage)
        self.key_id = key_id
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> bytes:
        """The public key in PEM."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def headers(self, claims: Mapping[str, Any], **changes: Any) -> dict[str, str]:
        """Return the headers of a request of the person with the claims; `changes` are of the token's header."""
        return {DATA_HEADER: self.token(claims, **changes), IDENTITY_HEADER: str(claims.get("sub", ""))}

    def token(self, claims: Mapping[str, Any], **changes: Any) -> str:
        """Return the token of claims; `changes` are of its header, and None leaves a field out."""
        header = {
            "alg": "ES256",
            "typ": "JWT",
            "kid": self.key_id,
            "signer": self.arn,
            "iss": ISSUER,
            "client": CLIENT,
            "exp": int(time.time()) + VALID_S,
            **changes,
        }
        signed = ".".join(_encode(one) for one in ({k: v for k, v in header.items() if v is not None}, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        # JSON Web Signature has both numbers, 32 bytes each (RFC 7518, 3.4).
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode()}"


def _encode(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@contextmanager
def serve_keys(*signers: Signer) -> Iterator[str]:
    """Serve the public keys by their ids; yield the address of their folder."""
    keys = {f"/{signer.key_id}": signer.public_key for signer in signers}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in keys else 404)
            self.end_headers()
            self.wfile.write(keys.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            """Write no line for each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
