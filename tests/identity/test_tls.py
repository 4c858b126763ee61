"""TLS in front of the catalog: the configurations of deploy/, run by nginx and Caddy."""

import contextlib
import datetime as dt
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.store import open_database
from tests.catalog.serving import SCHEMA, Server, serving, store_url
from tests.processes import Running, free_port, wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "lake.example.com"


def certificate(folder: Path) -> Path:
    """Write a certificate for the name and 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(NAME), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "lake.pem").write_bytes(made.public_bytes(pem))
    (folder / "lake.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "lake.pem"


def nginx(folder: Path, port: int, catalog: str) -> Running:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("there is no nginx")
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        ("server 127.0.0.1:8181", f"server {catalog}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/lake.example.com.pem", str(folder / "lake.pem")),
        ("/etc/ssl/private/lake.example.com.key", str(folder / "lake.key")),
    ):
        assert old in text
        text = text.replace(old, new)
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/nginx.pid; error_log stderr;"
        f"events {{}} http {{ access_log off; {paths}\n{text} }}",
        encoding="utf-8",
    )
    return Running([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], {})


def caddy(folder: Path, port: int, catalog: str) -> Running:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("there is no Caddy")
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    for old, new in (
        (f"{NAME} {{", f"https://{NAME}:{port} {{\n\ttls {folder}/lake.pem {folder}/lake.key"),
        ("reverse_proxy 127.0.0.1:8181", f"reverse_proxy {catalog}"),
    ):
        assert old in text
        text = text.replace(old, new)
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    (folder / "Caddyfile").write_text(options + text, encoding="utf-8")
    command = [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    return Running(command, {"HOME": str(folder), "XDG_DATA_HOME": str(folder)})


class Client:
    """Sends requests through the proxy, by the catalog's name."""

    def __init__(self, port: int, ca: Path, token: str) -> None:
        self.port, self.ca, self.token = port, ca, token

    def call(self, verb: str, path: str, body: object = None, **headers: str) -> requests.Response:
        with requests.Session() as session:
            adapter = _Named()
            session.mount("https://", adapter)
            request = requests.Request(verb, "https://127.0.0.1", json=body)
            prepared = session.prepare_request(request)
            prepared.url = f"https://127.0.0.1:{self.port}{path}"
            prepared.headers.update(
                {"Host": NAME, "Authorization": f"Bearer {self.token}", **headers}
            )
            return session.send(prepared, verify=str(self.ca), timeout=30)


class _Named(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *arguments: object, **options: object) -> None:
        super().init_poolmanager(*arguments, **options, server_hostname=NAME)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, auth__required=True, server__allowed_hosts=(NAME,)) as made:
        yield made


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def client(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[Client]:
    proxy: Callable[[Path, int, str], Running] = request.param
    folder, port = tmp_path / "proxy", free_port()
    folder.mkdir()
    ca = certificate(folder)
    running = proxy(folder, port, server.url.removeprefix("http://"))
    with contextlib.closing(open_database(store_url(tmp_path))) as database:
        secret = accounts.add(StoreCall(database), "etl", privileges=OWN)
    form = {"grant_type": "client_credentials", "client_id": "etl", "client_secret": secret}
    token = requests.post(f"{server.url}/v1/oauth/tokens", form, timeout=30).json()["access_token"]
    made = Client(port, ca, token)

    def is_there() -> bool:
        assert running.alive(), running.errors
        try:
            return made.call("GET", "/health/live").status_code == 200
        except requests.ConnectionError:
            return False

    wait_for(is_there, "the proxy")
    yield made
    running.kill()


def test_requests_come_through_as_they_were_sent(client: Client) -> None:
    assert client.call("GET", "/v1/config").status_code == 200
    assert client.call("GET", "/v1/config", Authorization="Bearer x").status_code == 401
    for levels in (["a/b é"], ["a/b é", "c"]):
        assert client.call("POST", "/v1/namespaces", {"namespace": levels}).status_code == 200
    parent = "a%2Fb%20%C3%A9"
    table = {"name": "t/%2F", "schema": SCHEMA}
    below = f"/v1/namespaces/{parent}%1Fc/tables"
    assert client.call("POST", below, table).status_code == 200
    loaded = client.call("GET", f"{below}/t%2F%252F")
    assert loaded.status_code == 200, loaded.text
    again = client.call("GET", f"{below}/t%2F%252F", **{"If-None-Match": loaded.headers["ETag"]})
    assert again.status_code == 304
    assert loaded.headers["Strict-Transport-Security"]
    assert loaded.headers["X-Content-Type-Options"] == "nosniff"


def test_another_host_is_refused(client: Client) -> None:
    # Caddy has no site of that name, nginx asks the catalog.
    answer = client.call("GET", "/v1/config", Host="evil.example.com")
    assert answer.status_code in {200, 403}
    assert b"prefix" not in answer.content


def test_bodies_of_the_servers_size(client: Client) -> None:
    body = {"namespace": ["big"], "properties": {"x": "y" * 2_000_000}}
    assert client.call("POST", "/v1/namespaces", body).status_code in {200, 400}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_tls_is_refused(client: Client) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or else it would refuse itself
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", client.port), timeout=30) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname=NAME)
