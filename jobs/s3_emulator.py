"""An S3 store for the demo and the tests: moto, with signatures and policies checked.

``python -m jobs.s3_emulator --listen 127.0.0.1:0 --bucket lake`` prints a line of JSON with all
that a warehouse's settings need, and serves until it is ended. Everything is in memory; with
``--folder`` the objects are read from files at the start and written to them at the end.

moto checks signatures and the policies of users and roles, but takes any session for its whole
role and ignores its end. This evaluates the session policy of each request that is signed with
temporary credentials, as AWS documents it: Allow statements with ``Action``, ``Resource`` and a
``StringLike`` condition on ``s3:prefix``. What it cannot evaluate is denied.
"""

import argparse
import datetime as dt
import json
import logging
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET

import boto3
from moto import settings as moto_settings
from moto.core.responses import ActionAuthenticatorMixin
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from jobs.addresses import split_address

ACCOUNT = "123456789012"
ROLE = "lakehouse"
USER = "catalog"
REGION = "us-east-1"
_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")
_VERBS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject"}

Need = tuple[str, str, str | None]
"""An action, the ARN that it is done to, and the value of ``s3:prefix``."""


def glob(pattern: str, text: str) -> bool:
    """Return whether a text matches an IAM pattern: ``*``, ``?`` and ``${*}`` for itself."""
    parts = re.findall(r"\$\{[*?$]\}|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    expression = "".join(
        wild.get(part) or re.escape(part[2] if part.startswith("${") else part) for part in parts
    )
    return re.fullmatch(expression, text, re.DOTALL) is not None


def allows(policy: dict[str, Any], need: Need) -> bool:
    """Return whether a policy document allows one action."""
    action, resource, prefix = need
    allowed = False
    for statement in _listed(policy["Statement"]):
        if not any(glob(each, action) for each in _listed(statement["Action"])):
            continue
        if not any(glob(each, resource) for each in _listed(statement["Resource"])):
            continue
        if not _holds(statement.get("Condition", {}), prefix):
            continue
        if statement["Effect"] == "Deny":
            return False
        allowed = True
    return allowed


def _holds(condition: dict[str, Any], prefix: str | None) -> bool:
    for operator, tests in condition.items():
        for key, patterns in tests.items():
            if (operator, key) != ("StringLike", "s3:prefix"):
                return False
            if prefix is None or not any(glob(each, prefix) for each in _listed(patterns)):
                return False
    return True


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def needs(method: str, path: str, query: str, body: bytes) -> list[Need]:
    """Return what a request in path style does, as IAM names it."""
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    arn, parameters = f"arn:aws:s3:::{bucket}", dict(parse_qsl(query, keep_blank_values=True))
    if key:
        action = _VERBS.get(method, "s3:PutObject")
        if method == "DELETE":
            action = "s3:AbortMultipartUpload" if "uploadId" in parameters else "s3:DeleteObject"
        if method == "GET" and "uploadId" in parameters:
            action = "s3:ListMultipartUploadParts"
        for name in ("acl", "tagging", "retention", "legal-hold", "torrent"):
            if name in parameters:
                action = f"s3:{'Get' if method == 'GET' else 'Put'}Object:{name}"
        return [(action, f"{arn}/{key}", None)]
    if method == "POST" and "delete" in parameters:
        names = [each.text or "" for each in ET.fromstring(body).iter() if _is_key(each)]  # noqa: S314 - a local client's
        return [("s3:DeleteObject", f"{arn}/{name}", None) for name in names]
    known = {"location": "s3:GetBucketLocation", "uploads": "s3:ListBucketMultipartUploads"}
    for name, action in known.items():
        if name in parameters:
            return [(action, arn, None)]
    only_list = {"list-type", "prefix", "delimiter", "max-keys", "marker", "encoding-type"} | {
        "continuation-token",
        "start-after",
        "fetch-owner",
    }
    if method in {"GET", "HEAD"} and parameters.keys() <= only_list:
        return [("s3:ListBucket", arn, parameters.get("prefix", ""))]
    return [(f"s3:{method}Bucket", arn, None)]


def _is_key(element: ET.Element) -> bool:
    return element.tag.rpartition("}")[2] == "Key"


class SessionPolicies:
    """A WSGI application that lets through what the session of a request allows."""

    def __init__(self, app: Callable[..., Iterable[bytes]], lifetime: dt.timedelta) -> None:
        """End each session so long after its first request, though it was promised longer."""
        self._app = app
        self._lifetime = lifetime
        self._first_seen: dict[str, dt.datetime] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer 403 for what the session policy does not allow, 400 for a session that ended."""
        found = _AUTHORIZATION.match(environ.get("HTTP_AUTHORIZATION", ""))
        session = _session(found[1]) if found else None
        is_s3 = "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
        if session is None or not is_s3:
            return self._app(environ, start_response)
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        first = self._first_seen.setdefault(found[1], now) if found else now
        if now >= min(session.expiration, first + self._lifetime):
            return _refuse(start_response, "400 Bad Request", "ExpiredToken")
        if session.policy:
            body = b""
            if environ["REQUEST_METHOD"] == "POST":
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = _Again(body)
            wanted = needs(
                environ["REQUEST_METHOD"],
                environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")[0],
                environ.get("QUERY_STRING", ""),
                body,
            )
            if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
                wanted += needs("GET", f"/{source.lstrip('/')}", "", b"")
            policy = json.loads(session.policy)
            if not wanted or not all(allows(policy, need) for need in wanted):
                return _refuse(start_response, "403 Forbidden", "AccessDenied")
        return self._app(environ, start_response)


class _Again:
    """A body that was read, to be read again."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def read(self, size: int = -1) -> bytes:
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return taken


def _session(access_key: str) -> Any:
    for session in sts_backends[ACCOUNT]["aws"].assumed_roles:
        if session.access_key_id == access_key:
            return session
    return None


def _refuse(start_response: Any, status: str, code: str) -> Iterator[bytes]:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    content = text.encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))]
    start_response(status, headers)
    return iter([content])


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def prepare(url: str, buckets: list[str], external_id: str | None) -> dict[str, Any]:
    """Make the buckets, a user with keys and a role that it may assume; return what they are."""
    first = {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": "root",
        "aws_secret_access_key": "root",
    }
    iam, s3 = boto3.client("iam", **first), boto3.client("s3", **first)
    for bucket in buckets:
        s3.create_bucket(Bucket=bucket)
    everything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:*", "sts:*"], "Resource": "*"}],
    }
    iam.create_user(UserName=USER)
    iam.put_user_policy(UserName=USER, PolicyName="all", PolicyDocument=json.dumps(everything))
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{USER}"},
    }
    if external_id:
        trust["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)["Role"]
    iam.put_role_policy(RoleName=ROLE, PolicyName="all", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    return {
        "url": url,
        "region": REGION,
        "buckets": buckets,
        "access_key_id": key["AccessKeyId"],
        "secret_access_key": key["SecretAccessKey"],
        "role_arn": role["Arn"],
    }


def restore(folder: Path) -> None:
    """Put the objects that ``keep`` wrote to a folder into their buckets."""
    for path in folder.rglob("*"):
        if path.is_file():
            bucket, *key = path.relative_to(folder).parts
            s3_backends[ACCOUNT]["aws"].put_object(bucket, "/".join(key), path.read_bytes())


def keep(folder: Path) -> None:
    """Make a folder hold the objects of all buckets, each in a file of its own."""
    wanted = set()
    for bucket in s3_backends[ACCOUNT]["aws"].buckets.values():
        for name, key in bucket.keys.items():
            path = folder / bucket.name / name
            if name.endswith("/"):
                continue  # stands for a folder, and has no content
            wanted.add(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.value)
    for path in folder.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def _address(value: str) -> tuple[str, int]:
    try:
        return split_address(value, lowest=0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m jobs.s3_emulator", description=__doc__)
    parser.add_argument(
        "--listen", type=_address, default="127.0.0.1:0", help="HOST:PORT; port 0: a free one"
    )
    parser.add_argument("--bucket", action="append", help="a bucket to make; lake if none is given")
    parser.add_argument("--external-id", help="what the role's trust policy asks for")
    parser.add_argument(
        "--session-seconds",
        type=float,
        default=86400,
        help="end sessions so long after their first request, though they are promised longer",
    )
    parser.add_argument("--folder", type=Path, help="where objects are kept between runs")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the line of JSON to a file that only you read",
    )
    given = parser.parse_args()
    host, port = given.listen
    logging.disable(logging.WARNING)
    app = SessionPolicies(
        DomainDispatcherApplication(create_backend_app), dt.timedelta(seconds=given.session_seconds)
    )
    server = make_server(host, port, app, threaded=True, request_handler=_Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://{host}:{server.server_port}"
    made = prepare(url, given.bucket or ["lake"], given.external_id)
    if given.folder:
        restore(given.folder)
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # from here on, all is checked
    ActionAuthenticatorMixin.request_count = 0
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if given.json:
        draft = given.json.with_suffix(".tmp")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made), encoding="utf-8")
        draft.replace(given.json)
    else:
        sys.stdout.write(json.dumps(made) + "\n")
    sys.stdout.write(f"Listening on {url}\n")
    sys.stdout.flush()
    ended.wait()
    if given.folder:
        server.shutdown()
        keep(given.folder)
    sys.exit(0)


if __name__ == "__main__":
    main()
