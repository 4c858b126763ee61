"""Which privilege gives which credentials for the files of a table, and which signatures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError

from falcon_catalog.catalog import access_control, accounts, identity
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.catalog.privileges import OWN, Privilege
from falcon_catalog.identifiers import Namespace
from tests.catalog.serving import SCHEMA, Server
from tests.clouds.emulators import S3
from tests.clouds.test_vending import client_of, put
from tests.clouds.warehouses import VENDED, on_s3

TABLES = "/v1/namespaces/ns/tables"
NS = Namespace.of(["ns"])
ON = {
    "the table": EntityName("table", "default", NS, "t"),
    "another table": EntityName("table", "default", NS, "u"),
    "the namespace": EntityName("namespace", "default", NS),
    "the warehouse": EntityName("warehouse", "default"),
}
Files = Literal["hidden", "denied", "none", "read", "write"]
"""What a principal gets: 404, 403, the table without its files, or with access to them."""
EXPECTED: dict[Privilege, Files] = {
    "list": "denied",
    "describe": "none",
    "select": "read",
    "write": "write",
    "create": "denied",
    "drop": "denied",
    "grant": "none",
    "own": "write",
}
CASES: list[tuple[Privilege, str, Files]] = [
    (privilege, on, "hidden" if on == "another table" else files)
    for privilege, files in EXPECTED.items()
    for on in ON
    if privilege != "create" or not on.endswith("table")  # it is of containers
]
by_case = pytest.mark.parametrize(("privilege", "on", "files"), CASES)


@dataclass
class Guarded:
    """A catalog whose requests need tokens, with the tables t and u."""

    server: Server
    location: str
    """Of t."""

    def token(self, privilege: Privilege, on: str, of: str = "") -> dict[str, str]:
        """Add a service with one privilege; return what it sends."""
        store = self.server.catalog.store
        name = f"{of}{privilege} on {on}".replace(" ", "-")
        call = StoreCall(store, local="local:0")
        secret = accounts.add(call, name)
        access_control.change(call, grant=[Change((privilege,), ON[on], name)])
        realm = identity.Realm.of(store, 600, 600)
        return {"Authorization": f"Bearer {identity.authenticate(realm, name, secret).text}"}


@pytest.fixture(scope="module", params=["vended", "signed"])
def guarded(
    request: pytest.FixtureRequest, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    settings: dict[str, object] = {"warehouse__location": f"s3://{s3.bucket}/{folder.name}"}
    if request.param == "signed":
        settings |= {"warehouse__access": "signed", "warehouse__role_arn": ""}
    with on_s3(folder, s3, **settings) as server:
        location = server.table("t")["metadata"]["location"]
        server.table("u")
        server.catalog.storage.files.write(f"{location}/data/x", b"x")
        # Without an administrator nothing could be granted later.
        accounts.add(StoreCall(server.catalog.store, local="local:0"), "root", privileges=OWN)
    with on_s3(folder, s3, auth__required=True, **settings) as server:
        yield Guarded(server, location)


@pytest.mark.parametrize("guarded", ["vended"], indirect=True)
@by_case
def test_credentials(guarded: Guarded, privilege: Privilege, on: str, files: Files) -> None:
    token = guarded.token(privilege, on)
    loaded = guarded.server.call("GET", f"{TABLES}/t", headers=token | VENDED)
    renewed = guarded.server.call("GET", f"{TABLES}/t/credentials", headers=token)
    refused = {"hidden": (404, 404), "denied": (403, 403), "none": (200, 403)}
    assert (loaded.status_code, renewed.status_code) == refused.get(files, (200, 200))
    if files in refused:
        assert "session-token" not in loaded.text + renewed.text
        return
    for answer in (loaded, renewed):
        (entry,) = answer.json()["storage-credentials"]
        assert entry["prefix"] == guarded.location
        assert may(entry["config"], guarded.location) == files


@pytest.mark.parametrize("guarded", ["vended"], indirect=True)
def test_nobody_else_gets_credentials_for_the_folder_of_a_staged_table(guarded: Guarded) -> None:
    place = f"{guarded.server.catalog.location}/staged"
    body = {"name": "staged", "schema": SCHEMA, "stage-create": True}
    creator, other = (guarded.token("create", "the namespace", of) for of in ("creator-", "other-"))

    def stage(token: dict[str, str], location: str) -> Any:
        asked = body | {"location": location}
        return guarded.server.call("POST", TABLES, asked, headers=token | VENDED)

    staged = stage(creator, f"{place}/s")
    (entry,) = staged.json()["storage-credentials"]
    put(entry["config"], f"{place}/s/data/x")
    for location in (f"{place}/s", f"{place}/s/data", place):
        refused = stage(other, location)
        assert refused.status_code == 403
        assert "session-token" not in refused.text
    assert stage(creator, place).status_code == 200
    # What others create there would be in reach of these credentials.
    assert stage(other, f"{place}/beside").status_code == 403


def may(config: dict[str, str], location: str) -> Files:
    """Return what the store allows with some credentials; read is part of it."""
    bucket, _, key = f"{location}/data/x".removeprefix("s3://").partition("/")
    assert client_of(config).get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    try:
        put(config, f"{location}/data/y")
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return "read"
        raise
    return "write"


@pytest.mark.parametrize("guarded", ["signed"], indirect=True)
@by_case
def test_signatures(guarded: Guarded, s3: S3, privilege: Privilege, on: str, files: Files) -> None:
    token = guarded.token(privilege, on)
    uri = f"{s3.url}/{guarded.location.removeprefix('s3://')}/data/x"
    found: dict[str, int] = {}
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        body: dict[str, Any] = {"method": method, "uri": uri, "region": s3.region, "headers": {}}
        answer = guarded.server.call("POST", f"{TABLES}/t/sign", body, headers=token)
        assert ("AWS4-HMAC" in answer.text) == (answer.status_code == 200)
        found[method] = answer.status_code
    reads, writes = {
        "hidden": (404, 404),
        "denied": (403, 403),
        "none": (403, 403),
        "read": (200, 403),
        "write": (200, 200),
    }[files]
    assert found == {"GET": reads, "HEAD": reads, "PUT": writes, "DELETE": writes}
