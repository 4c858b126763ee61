"""Shared access signatures, checked as Azure documents them.

Source: https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas and
create-service-sas. What later versions have added to the text that is signed is known from Azure's
own libraries.
"""

import base64
import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

NEEDED = {"get": "r", "list": "l", "put": "w", "append": "a", "delete": "d"}
_DELEGATED = ("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid")
_ANSWER = ("rscc", "rscd", "rsce", "rscl", "rsct")


@dataclass(frozen=True)
class Key:
    """A user delegation key that an account has issued, or the account's own key."""

    value: str
    fields: dict[str, str]
    """Of a user delegation key: ``skoid`` to ``skv``."""


def parse(token: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(token, strict_parsing=True).items()}


def string_to_sign(fields: dict[str, str], resource: str, *, delegated: bool) -> str:
    """Return the text that is signed; a field that is absent is an empty line."""
    lines = [*(fields.get(name, "") for name in ("sp", "st", "se")), resource]
    if delegated:
        lines += [fields.get(name, "") for name in _DELEGATED]
        if fields["sv"] >= "2025-07-05":
            lines += [fields.get(name, "") for name in ("skdutid", "sduoid")]
    else:
        lines.append(fields.get("si", ""))
    lines += [fields.get(name, "") for name in ("sip", "spr", "sv", "sr")]
    lines += ["", fields.get("ses", "")]  # the time of a snapshot, the scope of encryption
    if delegated and fields["sv"] >= "2026-04-06":
        lines += [fields.get(name, "") for name in ("srh", "srq")]
    return "\n".join(lines + [fields.get(name, "") for name in _ANSWER])


def signature(key: str, text: str) -> str:
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def refusal(
    token: str,
    *,
    account: str,
    container: str,
    path: str,
    action: str,
    keys: list[Key],
    now: Any = None,
) -> str | None:
    """Return why a request with a signature is refused; None if it is not.

    ``path`` is of a blob, or the prefix of a list.
    """
    fields = parse(token)
    moment = (now or dt.datetime.now(dt.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not fields["st"] <= moment < fields["se"]:
        return "not its time"
    if NEEDED[action] not in fields["sp"]:
        return "permission"
    scope = f"/blob/{account}/{container}"
    if fields["sr"] == "d":
        segments = path.split("/")
        depth = int(fields["sdd"])
        if len(segments) <= depth:
            return "not in the directory"
        scope += "".join(f"/{segment}" for segment in segments[:depth])
    elif fields["sr"] != "c":
        return "resource"
    for key in keys:
        if {name: fields.get(name) for name in key.fields} != key.fields:
            continue
        if key.fields and not fields["skt"] <= moment < fields["ske"]:
            continue
        text = string_to_sign(fields, scope, delegated=bool(key.fields))
        if hmac.compare_digest(signature(key.value, text), fields["sig"]):
            return None
    return "signature"
