"""A storage account with a hierarchical namespace, and Entra, as far as the tests need them.

Azurite has neither directories nor user delegation keys, so that this one, in memory and in this
process, checks the tokens and signatures that are made for them. Over https, as Azure's libraries
send tokens over nothing else. It proves what is sent, not that Azure accepts it.
"""

import base64
import contextlib
import datetime as dt
import functools
import hashlib
import ipaddress
import re
import secrets
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.clouds import sas
from tests.clouds.ranges import part

ACCOUNT = "lakehouse"
TENANT = "5e3b2c1a-0000-4000-8000-000000000001"
CLIENT = "5e3b2c1a-0000-4000-8000-000000000002"
SECRET = "s3cr3t~of-the-catalog"  # noqa: S105
CONTAINER = "lake"
SCOPE = "https://storage.azure.com/.default"
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass
class Azure:
    """Entra and a storage account; its blobs by container and name."""

    url: str = ""
    certificate: Path = Path()
    """Of the authority that has signed the server's own."""
    blobs: dict[str, dict[str, bytes]] = field(default_factory=lambda: {CONTAINER: {}, "other": {}})
    tokens: set[str] = field(default_factory=set)
    keys: list[sas.Key] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    """``METHOD path`` of each request, without the query."""
    key_requests: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)
    """Start and end of each user delegation key that was asked for."""
    failing: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    """Paths that answer with this status, body and headers."""
    hold: threading.Event | None = None
    """Entra and the issuer of keys answer once this is set."""

    @property
    def endpoint(self) -> str:
        return f"{self.url}/{ACCOUNT}"

    def credential(self) -> dict[str, str]:
        """Return the credential of an app registration."""
        return {
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "authority_host": self.url,
        }


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[Azure]:
    """Serve on 127.0.0.1, with a certificate in a folder."""
    cloud = Azure(certificate=folder / "authority.pem")
    authority, own = _certificates()
    cloud.certificate.write_bytes(authority)
    (folder / "server.pem").write_bytes(own)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cloud": cloud}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    # The handshake is left to the thread of the connection.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.daemon_threads = True
    cloud.url = f"https://127.0.0.1:{server.server_port}"
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


@functools.cache
def _certificates() -> tuple[bytes, bytes]:
    """Return the certificate of an authority, and a key with its certificate for 127.0.0.1."""
    now = dt.datetime.now(dt.UTC)
    own, servers = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))

    def signed(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), False
            )
        )
        if is_ca:
            usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), False)
        return builder.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    private = servers.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    return signed(authority, own, is_ca=True), private + signed(name, servers, is_ca=False)


class _Handler(BaseHTTPRequestHandler):
    """One request: Entra's, for a user delegation key, or the blob API's."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    cloud: ClassVar[Azure]

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

    def do(self) -> None:
        split = urlsplit(self.path)
        self.query = dict(parse_qsl(split.query, keep_blank_values=True))
        self.raw_query = split.query
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.cloud.log.append(f"{self.command} {split.path}")
        if split.path in self.cloud.failing:
            status, body, headers = self.cloud.failing[split.path]
            return self.answer(status, body.encode(), **headers)
        parts = unquote(split.path).lstrip("/").split("/", 2)
        if parts[0] == TENANT:
            return self.entra()
        if self.query.get("comp") == "userdelegationkey":
            return self.delegation_key()
        return self.blob_api(parts[1], parts[2] if len(parts) > 2 else "")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - http.server's names

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def entra(self) -> None:
        base = f"{self.cloud.url}/{TENANT}"
        if self.path.endswith("/.well-known/openid-configuration"):
            body = (
                f'{{"issuer": "{base}/v2.0", "token_endpoint": "{base}/oauth2/v2.0/token",'
                f' "authorization_endpoint": "{base}/oauth2/v2.0/authorize"}}'
            )
            return self.answer(200, body.encode(), Content_Type="application/json")
        self.wait()
        form = {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
        proof = form.get("client_secret") or form.get("client_assertion")
        good = form["client_id"] == CLIENT and proof in (SECRET, "assertion")
        if not good or form["scope"] != SCOPE:
            body = '{"error": "invalid_client", "error_description": "AADSTS7000215: wrong"}'
            return self.answer(401, body.encode(), Content_Type="application/json")
        token = f"eyJ0.{secrets.token_urlsafe(24)}"
        self.cloud.tokens.add(token)
        body = f'{{"token_type": "Bearer", "expires_in": 3600, "access_token": "{token}"}}'
        return self.answer(200, body.encode(), Content_Type="application/json")

    def wait(self) -> None:
        if self.cloud.hold:
            self.cloud.hold.wait(60)

    def has_token(self) -> bool:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") in self.cloud.tokens

    def refuse(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        kind = "application/xml"
        self.answer(status, body.encode(), Content_Type=kind, x_ms_error_code=code)

    def delegation_key(self) -> None:
        self.wait()
        if not self.has_token():
            return self.refuse(403, "AuthenticationFailed")
        info = ET.fromstring(self.body)  # noqa: S314 - our own request
        start, end = (
            dt.datetime.strptime(info.findtext(name, ""), _TIME).replace(tzinfo=dt.UTC)
            for name in ("Start", "Expiry")
        )
        if end - dt.datetime.now(dt.UTC) > dt.timedelta(days=7):
            return self.refuse(400, "InvalidXmlDocument")
        self.cloud.key_requests.append((start, end))
        value = base64.b64encode(secrets.token_bytes(32)).decode()
        fields = {
            "skoid": CLIENT,
            "sktid": TENANT,
            "skt": start.strftime(_TIME),
            "ske": end.strftime(_TIME),
            "sks": "b",
            "skv": self.headers["x-ms-version"],
        }
        self.cloud.keys.append(sas.Key(value, fields))
        names = ("SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService")
        xml = "".join(
            f"<{name}>{text}</{name}>"
            for name, text in zip((*names, "SignedVersion"), fields.values(), strict=True)
        )
        body = f"<UserDelegationKey>{xml}<Value>{value}</Value></UserDelegationKey>"
        return self.answer(200, body.encode(), Content_Type="application/xml")

    def may(self, action: str, container: str, path: str) -> bool:
        """Return whether a request may go on; else it is answered."""
        if "sig" in self.query:
            about = {"container": container, "path": path, "action": action}
            reason = sas.refusal(self.raw_query, account=ACCOUNT, keys=self.cloud.keys, **about)
            if reason is not None:
                self.refuse(403, "AuthorizationFailure" if reason == "permission" else "Denied")
                return False
        elif not self.has_token():
            self.refuse(401, "NoAuthenticationInformation")
            return False
        if container not in self.cloud.blobs:
            self.refuse(404, "ContainerNotFound")
            return False
        if action in ("get", "delete") and path not in self.cloud.blobs[container]:
            self.refuse(404, "BlobNotFound")
            return False
        return True

    def blob_api(self, container: str, path: str) -> None:
        if "comp" in self.query:
            prefix = self.query.get("prefix", "")
            is_list = self.query["comp"] == "list"
            return self.listed(container, prefix) if is_list else self.batch(container)
        action = {"GET": "get", "HEAD": "get", "PUT": "put", "DELETE": "delete"}[self.command]
        if not self.may(action, container, path):
            return None
        blobs = self.cloud.blobs[container]
        if self.command == "PUT":
            if self.headers.get("If-None-Match") == "*" and path in blobs:
                return self.refuse(409, "BlobAlreadyExists")
            blobs[path] = self.body
            return self.answer(201, ETag=_tag(self.body), Last_Modified=_now())
        if self.command == "DELETE":
            del blobs[path]
            return self.answer(202)
        return self.download(blobs[path])

    def download(self, blob: bytes) -> None:
        status, content, headers = part(blob, self.headers.get("Range"))
        if status == 416:
            return self.refuse(416, "InvalidRange")
        return self.answer(status, content, ETag=_tag(blob), Last_Modified=_now(), **headers)

    def batch(self, container: str) -> None:
        """Delete the blobs that the parts of the body name."""
        if "sig" in self.query:  # as some accounts refuse it
            return self.refuse(403, "AuthenticationFailed")
        if not self.may("list", container, ""):
            return None
        answers = []
        found = re.findall(rb"Content-ID: (\d+).*?\r\n\r\nDELETE (\S+) HTTP", self.body, re.DOTALL)
        for number, target in found:
            name = unquote(target.decode().partition("?")[0]).lstrip("/").partition("/")[2]
            name = name.removeprefix(f"{container}/")
            gone = self.cloud.blobs[container].pop(name, None) is not None
            status = "202 Accepted" if gone else "404 The specified blob does not exist."
            code = "" if gone else "x-ms-error-code: BlobNotFound\r\n"
            answers.append(
                "--answer\r\nContent-Type: application/http\r\n"
                f"Content-ID: {number.decode()}\r\n\r\nHTTP/1.1 {status}\r\n{code}\r\n"
            )
        body = "".join(answers) + "--answer--\r\n"
        return self.answer(202, body.encode(), Content_Type="multipart/mixed; boundary=answer")

    def listed(self, container: str, prefix: str) -> None:
        if not self.may("list", container, prefix):
            return
        names, folders = [], set[str]()
        for name in sorted(self.cloud.blobs[container]):
            cut = name.find(self.query.get("delimiter") or "\0", len(prefix))
            if name.startswith(prefix) and cut < 0:
                names.append(name)
            elif name.startswith(prefix):
                folders.add(name[: cut + 1])
        above = "".join(
            f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>" for folder in sorted(folders)
        )
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_now()}</Last-Modified>"
            f"<Content-Length>{len(content)}</Content-Length><Content-Type/>"
            f"<Etag>{escape(_tag(content))}</Etag></Properties></Blob>"
            for name, content in ((name, self.cloud.blobs[container][name]) for name in names)
        )
        body = (
            f"<?xml version='1.0'?><EnumerationResults><Blobs>{above}{blobs}</Blobs><NextMarker/>"
            "</EnumerationResults>"
        )
        self.answer(200, body.encode(), Content_Type="application/xml")


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def _now() -> str:
    return format_datetime(dt.datetime.now(dt.UTC), usegmt=True)
