"""The sign-in of a load balancer: who sent a request that an Application Load Balancer has authenticated.

The load balancer adds a token to each request, which it signs. It is a JSON Web Token of ES256 whose parts are padded.
Its header names the key, the load balancer, the identity provider, the client and the expiry; its payload has the
claims of the identity provider's user info ("Authenticate users using an Application Load Balancer", section "User
claims encoding and signature verification", Elastic Load Balancing User Guide).
"""

import re
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

DATA_HEADER = "x-amzn-oidc-data"
IDENTITY_HEADER = "x-amzn-oidc-identity"

_ALGORITHM = "ES256"
_KEY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LARGEST_KEY_BYTES = 4096
_MAX_KEYS = 16
_TIMEOUT_S = 3
_LEEWAY_S = 10  # between the clocks of the load balancer and of this process


class NotSignedIn(Exception):
    """The request has no valid token; the message is for the person who sent it."""


class SignInEnded(NotSignedIn):
    """The token was valid, and has expired."""


class KeysUnavailable(Exception):
    """The public key of a token cannot be read at the moment; the message is for the person who sent the request."""


class PublicKeys:
    """The public keys of the load balancers of a region, which are read when they are needed first."""

    def __init__(self, address: str) -> None:
        """`address` is the folder of the keys, such as `https://public-keys.auth.elb.eu-west-1.amazonaws.com/`."""
        self._address = address
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, key_id: str) -> str:
        """Return a key in PEM. Raises KeysUnavailable."""
        with self._lock:
            if key_id not in self._keys:
                if len(self._keys) >= _MAX_KEYS:
                    self._keys.clear()
                self._keys[key_id] = self._read(key_id)
            return self._keys[key_id]

    def _read(self, key_id: str) -> str:
        try:
            # The address is a setting, and the id of a key has hexadecimal digits and dashes only.
            with urllib.request.urlopen(self._address + key_id, timeout=_TIMEOUT_S) as response:  # noqa: S310
                return str(response.read(_LARGEST_KEY_BYTES).decode("ascii"))
        except (OSError, ValueError) as error:
            raise KeysUnavailable(
                "The console cannot check your sign-in, because the keys of the load balancer cannot be read "
                f"({type(error).__name__}). Try again in a minute; if it stays, tell an operator."
            ) from error


@dataclass(frozen=True)
class LoadBalancer:
    """The load balancer whose tokens are accepted.

    `arn` is its ARN, `issuer` and `client_id` those of its authenticate-oidc action, `now` the time in epoch seconds.
    """

    arn: str
    issuer: str
    client_id: str
    keys: PublicKeys
    now: Callable[[], float] = field(default=time.time)

    def claims(self, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the claims of who sent a request with these headers; `sub`, a text, is who it is.

        Raises NotSignedIn, SignInEnded, KeysUnavailable.
        """
        token = headers.get(DATA_HEADER, "")
        if not token:
            raise NotSignedIn("The request did not come through the load balancer, which signs people in.")
        try:
            header = jwt.get_unverified_header(token)
            self._check_header(header)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self.keys.get(header["kid"]),
                algorithms=[_ALGORITHM],
                # The expiry is in the header. A payload has claims of the user info, which are not those of this token.
                options={
                    "require": ["sub"], "verify_aud": False, "verify_exp": False, "verify_iat": False,
                    "verify_nbf": False, "verify_iss": False, "verify_jti": False,
                },
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError) as error:
            raise NotSignedIn(f"The sign-in of the request is not valid ({type(error).__name__}).") from error
        if not claims["sub"] or claims["sub"] != headers.get(IDENTITY_HEADER):
            raise NotSignedIn("The sign-in of the request names two people.")
        # After the signature, so that nobody else can say that a sign-in has ended.
        if header["exp"] + _LEEWAY_S < self.now():
            raise SignInEnded("Your sign-in has ended. Load the page again to sign in.")
        return claims

    def _check_header(self, header: Mapping[str, Any]) -> None:
        """Raise NotSignedIn for the header of a token that is not one of this load balancer; it is not verified yet."""
        expected = {"alg": _ALGORITHM, "signer": self.arn, "iss": self.issuer, "client": self.client_id}
        names = {"alg": "algorithm", "signer": "load balancer", "iss": "identity provider", "client": "client"}
        for name, value in expected.items():
            if header.get(name) != value:
                raise NotSignedIn(f"The sign-in of the request is of another {names[name]} than that of this stage.")
        if not isinstance(header.get("kid"), str) or not _KEY_ID.fullmatch(header["kid"]):
            raise NotSignedIn("The sign-in of the request names no key of a load balancer.")
        if isinstance(header.get("exp"), bool) or not isinstance(header.get("exp"), int | float):
            raise NotSignedIn("The sign-in of the request has no expiry.")
