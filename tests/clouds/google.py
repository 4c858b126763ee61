"""Google Cloud Storage and the services that issue its tokens, as far as the tests need them.

No emulator that can be installed has the XML API with preconditions, which obstore speaks
(gcp-storage-emulator answers 501, fake-gcs-server takes no PUT), and none evaluates tokens. This
one does both, in memory and in this process:

- the XML API of obstore, and the JSON API of pyarrow and gcsfs, with preconditions and paging;
- tokens for a service account's key, from the metadata server and by impersonation, and the
  exchange of a token for one with a credential access boundary, which is evaluated at each request.

What it cannot evaluate is denied. It proves what is sent, not that Google accepts it.
"""

import base64
import contextlib
import datetime as dt
import functools
import hashlib
import itertools
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.clouds import cel
from tests.clouds.ranges import part

CATALOG = "catalog@lake.iam.gserviceaccount.com"
CLIENTS = "clients@lake.iam.gserviceaccount.com"
PROJECT = "lake"
SCOPES = {
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/devstorage.read_write",
}
ROLES = {
    "inRole:roles/storage.objectViewer": {"get", "list"},
    "inRole:roles/storage.objectUser": {"get", "list", "create", "delete"},
}
PAGE = 1000
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type


@functools.cache  # it takes long
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Object:
    """One object of a bucket."""

    content: bytes
    generation: int
    content_type: str
    changed: dt.datetime

    @property
    def tag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}-{self.generation}"'  # noqa: S324


@dataclass(frozen=True)
class Token:
    """A token that was issued."""

    email: str
    scopes: frozenset[str]
    expires_at: dt.datetime
    rules: tuple[Any, ...] | None = None
    """Of its access boundary; None: it has none."""

    def allows(self, action: str, bucket: str, name: str, prefix: str | None) -> bool:
        """Return whether it is good for an action on an object, or on a list with a prefix."""
        if not self.scopes & SCOPES or self.expires_at <= dt.datetime.now(dt.UTC):
            return False
        if self.rules is None:
            return True
        resource = f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
        attributes = {} if prefix is None else {cel.LIST_PREFIX: prefix}
        return any(
            rule["availableResource"] == f"//storage.googleapis.com/projects/_/buckets/{bucket}"
            and any(action in ROLES[role] for role in rule["availablePermissions"])
            and cel.holds(
                cel.parse(rule["availabilityCondition"]["expression"]), resource, attributes
            )
            for rule in self.rules
        )


def rfc3339(time: dt.datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class Google:
    """A store with buckets, and its token services."""

    url: str = ""
    check_tokens: bool = False
    """Whether requests for objects need a token."""
    lifetime: int = 3600
    """Seconds for which tokens are valid, but for those of impersonation."""
    names_lifetime: bool = True
    """Whether the exchange of tokens says ``expires_in``."""
    buckets: dict[str, dict[str, Object]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    """``METHOD path`` of each request, without the query."""
    boundaries: list[Any] = field(default_factory=list)
    """Rules of each access boundary that was asked for."""
    failing: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Paths of token services that answer with this status and body."""
    hold: threading.Event | None = None
    """Token services answer once this is set."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    key: rsa.RSAPrivateKey = field(default_factory=_key, repr=False)
    generations: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def service_account(self) -> dict[str, str]:
        """Return the key file of the catalog's service account."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": CATALOG,
            "token_uri": f"{self.url}/token",
        }

    def issue(
        self,
        email: str,
        scopes: frozenset[str],
        expires_at: dt.datetime | None = None,
        rules: tuple[Any, ...] | None = None,
    ) -> str:
        """Return a new token."""
        token = f"ya29.{secrets.token_urlsafe(32)}"
        expires_at = expires_at or dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.lifetime)
        self.tokens[token] = Token(email, scopes, expires_at, rules)
        return token

    def put(
        self, bucket: str, name: str, content: bytes, kind: str, condition: str | None
    ) -> Object:
        """Store an object; a condition is the generation that must be there, 0 for none."""
        with self.lock:
            found = self.buckets[bucket].get(name)
            if condition is not None and int(condition) != (found.generation if found else 0):
                raise RefusedError(412, "PreconditionFailed")
            now = dt.datetime.now(dt.UTC)
            made = Object(content, next(self.generations), kind, now)
            self.buckets[bucket][name] = made
            return made

    def listed(self, bucket: str, query: dict[str, str]) -> tuple[list[str], list[str], str]:
        """Return names, folders and the name to go on after, of one page."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("pageToken") or ""
        after = max(after, query.get("start-after", ""))
        names: list[str] = []
        folders: list[str] = []
        limit = int(query.get("max-keys") or query.get("maxResults") or PAGE)
        for name in sorted(self.buckets[bucket]):
            rest = name.removeprefix(prefix)
            if not name.startswith(prefix) or name <= after:
                continue
            cut = rest.find(delimiter) if delimiter else -1
            folder = prefix + rest[: cut + 1] if cut >= 0 else ""
            if folder and (folder in folders or folder == after):
                continue
            if len(names) + len(folders) == limit:
                return names, folders, max([*names, *folders])
            (folders if folder else names).append(folder or name)
        return names, folders, ""


@contextlib.contextmanager
def google(*buckets: str, check_tokens: bool = False) -> Iterator[Google]:
    """Serve buckets on 127.0.0.1, and the token services beside them."""
    cloud = Google(check_tokens=check_tokens, buckets={bucket: {} for bucket in buckets})
    handler = type("Handler", (_Handler,), {"cloud": cloud})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    cloud.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield cloud
    finally:
        if cloud.hold:
            cloud.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request: a token service's, the JSON API's or the XML API's."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: else the client acknowledges 40 ms later
    cloud: ClassVar[Google]

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def log_message(self, *_: object) -> None:
        pass

    def do(self) -> None:
        split = urlsplit(self.path)
        self.query = dict(parse_qsl(split.query, keep_blank_values=True))
        self.parts = [unquote(part) for part in split.path.lstrip("/").split("/")]
        length = self.headers.get("Content-Length")
        self.body = self.rfile.read(int(length)) if length else self.chunks()
        self.cloud.log.append(f"{self.command} {split.path}")
        try:
            self.route(split.path)
        except RefusedError as error:
            self.answer(error.status, f"<Error><Code>{error.code}</Code></Error>".encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - http.server's names

    def chunks(self) -> bytes:
        pieces = []
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, document: object, status: int = 200, **headers: str) -> None:
        self.answer(
            status, json.dumps(document).encode(), Content_Type="application/json", **headers
        )

    def route(self, path: str) -> None:
        service = {
            "/token": self.token_for_key,
            "/v1/token": self.exchange,
        }.get(path)
        if path.startswith("/computeMetadata/") and path.endswith("/token"):
            service = self.metadata_token
        if path.endswith(":generateAccessToken"):
            service = self.impersonate
        if service:
            if self.cloud.hold:
                self.cloud.hold.wait(60)
            if path in self.cloud.failing:
                status, body = self.cloud.failing[path]
                return self.json(body, status)
            return service()
        if path.startswith("/computeMetadata/"):
            about = {"email": CATALOG, "scopes": sorted(SCOPES)}
            return self.json(about, Metadata_Flavor="Google")
        if self.parts[0] in ("storage", "upload", "download"):
            return self.json_api()
        if path == "/":  # is this a machine of Google's?
            return self.answer(200, Metadata_Flavor="Google")
        return self.xml_api()

    # Tokens

    def token_for_key(self) -> None:
        form = parse_qs(self.body.decode())
        claims = jwt.decode(
            form["assertion"][0],
            self.cloud.key.public_key(),
            algorithms=["RS256"],
            audience="https://oauth2.googleapis.com/token",
        )
        token = self.cloud.issue(claims["iss"], frozenset(claims["scope"].split()))
        self.json({"access_token": token, "expires_in": self.cloud.lifetime})

    def metadata_token(self) -> None:
        if self.headers.get("Metadata-Flavor") != "Google":
            raise RefusedError(403, "Forbidden")
        scopes = frozenset(self.query.get("scopes", next(iter(SCOPES))).split(","))
        token = self.cloud.issue(CATALOG, scopes)
        self.json(
            {"access_token": token, "expires_in": self.cloud.lifetime, "token_type": "Bearer"},
            Metadata_Flavor="Google",
        )

    def impersonate(self) -> None:
        self.token()  # who asks must be known
        asked = json.loads(self.body)
        email = self.parts[-1].removesuffix(":generateAccessToken")
        seconds = int(asked["lifetime"].removesuffix("s"))
        if seconds > 3600:
            return self.json({"error": {"status": "INVALID_ARGUMENT"}}, 400)
        expires = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=seconds)
        token = self.cloud.issue(email, frozenset(asked["scope"]), expires)
        text = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.json({"accessToken": token, "expireTime": text})

    def exchange(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
        if form["grant_type"] != "urn:ietf:params:oauth:grant-type:token-exchange":
            return self.json({"error": "unsupported_grant_type"}, 400)
        if form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt":  # noqa: S105
            # Workload identity federation: the token of another party, sent from a file.
            token = self.cloud.issue(form["subject_token"], frozenset(form["scope"].split()))
            return self.json(
                {
                    "access_token": token,
                    "issued_token_type": _ACCESS_TOKEN,
                    "token_type": "Bearer",
                    "expires_in": self.cloud.lifetime,
                }
            )
        source = self.cloud.tokens.get(form["subject_token"])
        types = {form["subject_token_type"], form["requested_token_type"]}
        if source is None or types != {_ACCESS_TOKEN}:
            return self.json({"error": "invalid_request"}, 400)
        if not source.scopes & SCOPES:
            return self.json({"error": "invalid_scope"}, 400)
        boundary = json.loads(unquote(form["options"]))["accessBoundary"]
        rules = boundary["accessBoundaryRules"]
        self.cloud.boundaries.append(rules)
        try:
            for rule in rules:
                cel.parse(rule["availabilityCondition"]["expression"])
            if not 0 < len(rules) <= 10:
                raise cel.InvalidConditionError(f"{len(rules)} rules")
        except cel.InvalidConditionError as error:
            return self.json({"error": "invalid_request", "error_description": str(error)}, 400)
        token = self.cloud.issue(source.email, source.scopes, source.expires_at, tuple(rules))
        left = int((source.expires_at - dt.datetime.now(dt.UTC)).total_seconds())
        document = {"access_token": token, "token_type": "Bearer"}
        return self.json(
            {**document, **({"expires_in": left} if self.cloud.names_lifetime else {})}
        )

    def token(self) -> Token:
        found = self.cloud.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if found is None:
            raise RefusedError(401, "AuthenticationRequired")
        return found

    def permit(self, action: str, bucket: str, name: str = "", prefix: str | None = None) -> None:
        """Refuse what the request's token does not allow, or what is not there."""
        if self.cloud.check_tokens and not self.token().allows(action, bucket, name, prefix):
            raise RefusedError(403, "AccessDenied")
        if bucket not in self.cloud.buckets:
            raise RefusedError(404, "NoSuchBucket")
        if action in ("get", "delete") and name not in self.cloud.buckets[bucket]:
            raise RefusedError(404, "NoSuchKey")

    # Objects

    def xml_api(self) -> None:
        bucket, name = self.parts[0], "/".join(self.parts[1:])
        if not name:
            return self.xml_list(bucket)
        if self.command in ("GET", "HEAD"):
            return self.download(bucket, name)
        if "x-goog-copy-source" in self.headers:
            raise RefusedError(501, "NotImplemented")
        if "uploads" in self.query or "uploadId" in self.query:
            return self.multipart(bucket, name)
        if self.command == "DELETE":
            self.permit("delete", bucket, name)
            del self.cloud.buckets[bucket][name]
            return self.answer(204)
        made = self.store(bucket, name, self.body, self.headers.get("x-goog-if-generation-match"))
        return self.answer(200, ETag=made.tag, x_goog_generation=str(made.generation))

    def store(self, bucket: str, name: str, content: bytes, condition: str | None) -> Object:
        self.permit("create", bucket, name)
        if name in self.cloud.buckets[bucket] and condition != "0":
            self.permit("delete", bucket, name)  # what replaces an object deletes it
        kind = self.headers.get("Content-Type", "application/octet-stream")
        return self.cloud.put(bucket, name, content, kind, condition)

    def multipart(self, bucket: str, name: str) -> None:
        self.permit("create", bucket, name)
        upload = self.query.get("uploadId", "")
        if "uploads" in self.query:
            upload = secrets.token_hex(8)
            self.cloud.uploads[upload] = {}
            body = (
                f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
                f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            )
            return self.answer(200, body.encode())
        if upload not in self.cloud.uploads:
            raise RefusedError(404, "NoSuchUpload")
        if self.command == "PUT":
            self.cloud.uploads[upload][int(self.query["partNumber"])] = self.body
            return self.answer(200, ETag=f'"{self.query["partNumber"]}"')
        parts = self.cloud.uploads.pop(upload)
        if self.command == "DELETE":
            return self.answer(204)
        numbers = [int(e.text or "") for e in ET.fromstring(self.body).iter("PartNumber")]  # noqa: S314
        content = b"".join(parts[number] for number in numbers)
        made = self.store(bucket, name, content, self.headers.get("x-goog-if-generation-match"))
        tag = "CompleteMultipartUploadResult"
        body = f"<{tag}><ETag>{escape(made.tag)}</ETag></{tag}>"
        return self.answer(200, body.encode(), x_goog_generation=str(made.generation))

    def download(self, bucket: str, name: str) -> None:
        self.permit("get", bucket, name)
        found = self.cloud.buckets[bucket][name]
        status, content, headers = part(found.content, self.headers.get("Range"))
        if status == 416:
            raise RefusedError(416, "InvalidRange")
        self.answer(
            status,
            content,
            Content_Length=str(len(content)),
            Content_Type=found.content_type,
            ETag=found.tag,
            Last_Modified=format_datetime(found.changed, usegmt=True),
            x_goog_generation=str(found.generation),
            **headers,
        )

    def xml_list(self, bucket: str) -> None:
        prefix = self.query.get("prefix", "")
        self.permit("list", bucket, prefix=prefix)
        names, folders, after = self.cloud.listed(bucket, self.query)
        objects = self.cloud.buckets[bucket]
        contents = [
            f"<Contents><Key>{escape(name)}</Key><Size>{len(objects[name].content)}</Size>"
            f"<LastModified>{rfc3339(objects[name].changed)}</LastModified>"
            f"<ETag>{escape(objects[name].tag)}</ETag></Contents>"
            for name in names
        ]
        common = [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders]
        following = (
            f"<NextContinuationToken>{escape(after)}</NextContinuationToken>" if after else ""
        )
        body = f"<ListBucketResult>{following}{''.join(contents + common)}</ListBucketResult>"
        self.answer(200, body.encode(), Content_Type="application/xml")

    def json_api(self) -> None:
        """Answer ``[upload/|download/]storage/v1/b/BUCKET/o[/NAME]``."""
        parts = self.parts[1:] if self.parts[0] in ("upload", "download") else self.parts
        bucket, name = parts[3], "/".join(parts[5:])
        if self.parts[0] == "upload":
            return self.upload(bucket)
        if len(parts) == 4:
            self.permit("list", bucket, prefix="")
            return self.json({"name": bucket, "id": bucket})
        if not name:
            return self.json_list(bucket)
        if self.command == "DELETE":
            self.permit("delete", bucket, name)
            del self.cloud.buckets[bucket][name]
            return self.answer(204)
        if self.query.get("alt") == "media" or self.parts[0] == "download":
            return self.download(bucket, name)
        self.permit("get", bucket, name)
        return self.json(self.shown(bucket, name))

    def shown(self, bucket: str, name: str) -> dict[str, str]:
        found = self.cloud.buckets[bucket][name]
        changed = rfc3339(found.changed)
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(len(found.content)),
            "generation": str(found.generation),
            "metageneration": "1",
            "contentType": found.content_type,
            "md5Hash": base64.b64encode(hashlib.md5(found.content).digest()).decode(),  # noqa: S324
            "updated": changed,
            "timeCreated": changed,
        }

    def json_list(self, bucket: str) -> None:
        self.permit("list", bucket, prefix=self.query.get("prefix", ""))
        names, folders, after = self.cloud.listed(bucket, self.query)
        items = [self.shown(bucket, name) for name in names]
        document: dict[str, Any] = {"kind": "storage#objects", "items": items, "prefixes": folders}
        self.json({**document, **({"nextPageToken": after} if after else {})})

    def upload(self, bucket: str) -> None:
        """Answer an upload of the JSON API: whole, in two parts, or in a session of chunks."""
        kind, condition = self.query.get("uploadType"), self.query.get("ifGenerationMatch")
        name = self.query.get("name", "")
        if kind == "multipart":
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
            assert boundary is not None
            _, about, content, _ = self.body.split(b"--" + boundary[1].encode())
            about, content = (part.partition(b"\r\n\r\n")[2] for part in (about, content))
            name = name or json.loads(about)["name"]
            self.store(bucket, name, content.removesuffix(b"\r\n"), condition)
            return self.json(self.shown(bucket, name))
        if kind == "media":
            self.store(bucket, name, self.body, condition)
            return self.json(self.shown(bucket, name))
        if "upload_id" not in self.query:
            name = name or json.loads(self.body)["name"]
            self.permit("create", bucket, name)
            session = secrets.token_hex(8)
            self.cloud.uploads[session] = {}
            query = f"uploadType=resumable&upload_id={session}&name={quote(name, safe='')}"
            if condition is not None:
                query += f"&ifGenerationMatch={condition}"
            location = f"{self.cloud.url}/upload/storage/v1/b/{bucket}/o?{query}"
            return self.answer(200, b"{}", Location=location)
        parts = self.cloud.uploads[self.query["upload_id"]]
        span = re.fullmatch(
            r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers.get("Content-Range", "")
        )
        if self.body:
            parts[int(span[1]) if span and span[1] else 0] = self.body
        content = b"".join(parts[at] for at in sorted(parts))
        if span and span[2] == "*":
            return self.answer(308, Range=f"bytes=0-{len(content) - 1}")
        self.store(bucket, name, content, condition)
        return self.json(self.shown(bucket, name))
