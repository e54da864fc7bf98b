"""The tokens of a load balancer: only its own, unexpired ones say who sent a request."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from console.load_balancer import (
    DATA_HEADER,
    IDENTITY_HEADER,
    KeysUnavailable,
    LoadBalancer,
    NotSignedIn,
    PublicKeys,
    SignInEnded,
)
from tests.support.load_balancer import CLIENT, ISSUER, KEY_ID, Signer, arn, serve_keys

OTHER_KEY_ID = KEY_ID.replace("1", "f")
ADA = {"sub": "ada-1", "name": "Ada", "groups": ["reviewers"]}


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def balancer(signer: Signer) -> Iterator[LoadBalancer]:
    """The load balancer of the stage `test`, in a region with one of the stage `prod`."""
    with serve_keys(signer, Signer("prod", OTHER_KEY_ID)) as address:
        yield LoadBalancer(arn("test"), ISSUER, CLIENT, PublicKeys(address))


def test_the_claims_of_a_padded_token_are_who_sent_the_request(signer: Signer, balancer: LoadBalancer) -> None:
    paddings = set()
    for length in range(3):
        claims = {**ADA, "name": "A" * length}
        headers = signer.headers(claims)
        paddings.add(headers[DATA_HEADER].split(".")[1].count("="))
        assert balancer.claims(headers) == claims
    assert paddings == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signer": arn("prod")}, "another load balancer"),
        ({"signer": None}, "another load balancer"),
        ({"iss": "https://other.example.org"}, "another identity provider"),
        ({"client": "other"}, "another client"),
        ({"alg": "none"}, "another algorithm"),
        ({"alg": "HS256"}, "another algorithm"),
        ({"kid": "../secret"}, "no key"),
        ({"kid": None}, "no key"),
        ({"exp": None}, "no expiry"),
        ({"exp": "9999999999"}, "no expiry"),
        ({"exp": True}, "no expiry"),
    ],
)
def test_a_token_with_another_header_is_refused(
    signer: Signer, balancer: LoadBalancer, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(NotSignedIn, match=words):
        balancer.claims(signer.headers(ADA, **change))


def test_a_token_that_has_expired_is_refused_and_says_so(signer: Signer, balancer: LoadBalancer) -> None:
    with pytest.raises(SignInEnded, match="Load the page again"):
        balancer.claims(signer.headers(ADA, exp=int(time.time()) - 60))


def without_signature(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, DATA_HEADER: headers[DATA_HEADER].rpartition(".")[0] + "."}


def with_other_claims(headers: dict[str, str]) -> dict[str, str]:
    header, _, signature = headers[DATA_HEADER].split(".")
    claims = base64.urlsafe_b64encode(json.dumps({**ADA, "groups": ["operators"]}).encode()).decode()
    return {**headers, DATA_HEADER: f"{header}.{claims}.{signature}"}


def with_no_algorithm(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, DATA_HEADER: jwt.encode(ADA, None, algorithm="none")}  # type: ignore[arg-type]


def with_another_identity(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, IDENTITY_HEADER: "grace-1"}


def without_token(headers: dict[str, str]) -> dict[str, str]:
    return {IDENTITY_HEADER: headers[IDENTITY_HEADER]}


def with_nonsense(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, DATA_HEADER: "\xfc.a.b"}


@pytest.mark.parametrize(
    "forge",
    [without_signature, with_other_claims, with_no_algorithm, with_another_identity, without_token, with_nonsense],
)
def test_a_forged_token_is_refused(
    signer: Signer, balancer: LoadBalancer, forge: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    with pytest.raises(NotSignedIn):
        balancer.claims(forge(signer.headers(ADA)))


def test_a_token_that_somebody_else_signed_is_refused(balancer: LoadBalancer) -> None:
    with pytest.raises(NotSignedIn, match="not valid"):
        balancer.claims(Signer("test").headers(ADA))
    # Signed by another load balancer of the region, which claims to be this one.
    with pytest.raises(NotSignedIn, match="not valid"):
        balancer.claims(Signer("test", OTHER_KEY_ID).headers(ADA))


@pytest.mark.parametrize("sub", [None, "", 17])
def test_a_token_without_a_subject_is_refused(signer: Signer, balancer: LoadBalancer, sub: object) -> None:
    with pytest.raises(NotSignedIn):
        balancer.claims(signer.headers({**ADA, "sub": sub}))


def test_a_key_is_read_once_and_an_unreadable_one_again(
    signer: Signer, balancer: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_keys() as empty:
        without_key = LoadBalancer(arn("test"), ISSUER, CLIENT, PublicKeys(empty))
        for _ in range(2):
            with pytest.raises(KeysUnavailable, match="Try again in a minute"):
                without_key.claims(signer.headers(ADA))
    read: list[str] = []
    original = PublicKeys._read
    monkeypatch.setattr(PublicKeys, "_read", lambda keys, key_id: read.append(key_id) or original(keys, key_id))
    for _ in range(3):
        assert balancer.claims(signer.headers(ADA)) == ADA
    assert read == [KEY_ID]
