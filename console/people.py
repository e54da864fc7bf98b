"""The people who use a hosted console: who they are, their role, and their AWS credentials.

Each person has a session of their own of an IAM role, so AWS allows a reviewer nothing that only operators may do,
labels are written under the identity of the person, and CloudTrail shows who did what.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, CredentialResolver
from botocore.credentials import DeferredRefreshableCredentials as RefreshedCredentials

from console.identity import is_name

REVIEWER = "reviewer"
OPERATOR = "operator"

# The characters of RoleSessionName (AWS STS API Reference, "AssumeRole"); a label's key allows them, too.
_SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
# Role chaining limits a session to one hour (IAM User Guide, "Methods to assume a role").
_SESSION_S = 3600


class NoRole(Exception):
    """A person who is signed in has no role; the message is for them."""


@dataclass(frozen=True)
class Person:
    """A person: `subject` is who they are for the identity provider, for ever; `name` is for display only."""

    subject: str
    name: str
    role: str

    @property
    def is_operator(self) -> bool:
        """Whether the person is an operator. Every operator is a reviewer, too."""
        return self.role == OPERATOR

    @property
    def session_name(self) -> str:
        """The name of the person's sessions of roles: the subject, or a hash of one that cannot be such a name."""
        if _SESSION_NAME.fullmatch(self.subject):
            return self.subject
        return f"sha256-{hashlib.sha256(self.subject.encode()).hexdigest()[:40]}"


@dataclass(frozen=True)
class Roles:
    """Which claim says the role of a person: it contains `reviewers` or `operators`, as a text or in a list.

    `contact` is whom people without a role have to ask.
    """

    claim: str
    reviewers: str
    operators: str
    contact: str

    def person(self, claims: Mapping[str, Any]) -> Person:
        """Return the person whom the claims describe. Raises NoRole."""
        value = claims.get(self.claim)
        given = {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)}
        texts = (claims.get(one) for one in ("name", "email"))
        name = next((one for one in texts if isinstance(one, str) and is_name(one)), "")
        for role, group in ((OPERATOR, self.operators), (REVIEWER, self.reviewers)):
            if group in given:
                return Person(claims["sub"], name, role)
        raise NoRole(
            f"You are signed in{f' as {name}' if name else ''}, but you have no role in this stage. Ask {self.contact} "
            f"for the group {self.reviewers}, or {self.operators} for operators. Then sign out here and in again."
        )


class _AssumedRole(CredentialProvider):
    """The credentials of a session of a role, assumed with the credentials of `source` when they are needed."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, source: botocore.session.Session, role: str, session_name: str) -> None:
        super().__init__()
        self._fetcher = AssumeRoleCredentialFetcher(
            source.create_client,
            source.get_credentials(),
            role,
            extra_args={"RoleSessionName": session_name, "DurationSeconds": _SESSION_S},
        )

    def load(self) -> RefreshedCredentials:
        return RefreshedCredentials(method=self.METHOD, refresh_using=self._fetcher.fetch_credentials)


def assume_role(source: botocore.session.Session, role: str, session_name: str) -> boto3.session.Session:
    """Return a session of the role with an ARN, whose credentials are renewed before they expire.

    `source` has the credentials that may assume the role. Its first request raises ClientError when it may not.
    """
    assumed = botocore.session.Session()
    # The models of the services, which are the same for everybody: with 20 people 0.2 GB instead of 1.2 GB.
    assumed.register_component("data_loader", source.get_component("data_loader"))
    assumed.register_component("credential_provider", CredentialResolver([_AssumedRole(source, role, session_name)]))
    return boto3.session.Session(botocore_session=assumed, region_name=source.get_config_variable("region"))
