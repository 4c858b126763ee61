"""Session policies: what temporary credentials for one table may do, as an IAM document.

What a session may do is what its role may do and what this document allows. A document that is
too long is refused: without one of its statements it would mean something else.
Source: "IAM JSON policy elements" and "AssumeRole" of the AWS documentation.
"""

import re

import orjson

from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.delegation import Permission, Scope
from falcon_catalog.locations import ALIASES, OBJECT_STORES, parse

MAX_CHARACTERS = 2048
"""AWS's limit of a session policy; a packed form has a limit of its own, which AWS alone knows."""

_READ = ("s3:GetObject",)
_WRITE = (
    *_READ,
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
_OBJECT_ACTIONS: dict[Permission, tuple[str, ...]] = {"read": _READ, "write": _WRITE}
_KEY_ACTIONS: dict[Permission, tuple[str, ...]] = {
    "read": ("kms:Decrypt",),
    "write": ("kms:Decrypt", "kms:GenerateDataKey"),
}
_SCHEMES = OBJECT_STORES | frozenset(ALIASES)


def session_policy(scope: Scope, *, partition: str = "aws", kms_keys: tuple[str, ...] = ()) -> str:
    """Return the policy of a session that opens a scope and nothing else.

    Args:
        scope: the folders, and whether they may be written.
        partition: the first part of ARNs, such as ``aws-cn``.
        kms_keys: ARNs of the keys that encrypt the objects.

    Raises:
        BadRequestError: the document would be longer than AWS takes.
    """
    folders: dict[str, list[str]] = {}
    for location in scope.locations:
        place = parse(location, _SCHEMES)
        # The slash keeps a session for orders out of orders2.
        folder = f"{escape(place.path)}/" if place.path else ""
        folders.setdefault(f"arn:{partition}:s3:::{place.authority}", []).append(folder)
    objects = [f"{arn}/{folder}*" for arn, inside in folders.items() for folder in inside]
    statements: list[dict[str, object]] = [_allow(_OBJECT_ACTIONS[scope.permission], objects)]
    for arn, inside in folders.items():
        below = {"StringLike": {"s3:prefix": [f"{folder}*" for folder in inside]}}
        statements.append(_allow(("s3:ListBucket",), [arn]) | {"Condition": below})
    statements.append(_allow(("s3:GetBucketLocation",), list(folders)))
    if kms_keys:
        statements.append(_allow(_KEY_ACTIONS[scope.permission], list(kms_keys)))
    document = orjson.dumps({"Version": "2012-10-17", "Statement": statements}).decode()
    if len(document) > MAX_CHARACTERS:
        raise BadRequestError(
            f"Cannot issue credentials for {', '.join(scope.locations)[:200]}: the session policy"
            f" would have {len(document)} characters, and AWS takes at most {MAX_CHARACTERS}. Use"
            " a shorter location, or fewer folders in the table's properties"
        )
    return document


def escape(text: str) -> str:
    """Return a text that a policy compares as it is: without wildcards and variables."""
    return re.sub(r"[*?$]", r"${\g<0>}", text)


def _allow(actions: tuple[str, ...], resources: list[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}
