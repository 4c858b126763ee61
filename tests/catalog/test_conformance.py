"""The check: our catalog passes, faulty ones fail, and nothing is left behind."""

import io
import json
import re
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from falcon_catalog.api.routes import ENDPOINTS
from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.cli import main
from falcon_catalog.conformance import check as checks
from falcon_catalog.conformance.answers import WrongCatalogError
from falcon_catalog.conformance.catalog import connect
from falcon_catalog.conformance.operations import ASSUMED, BY_ID, OPERATIONS
from falcon_catalog.conformance.sandbox import Sandbox
from falcon_catalog.store import open_database
from falcon_catalog.store.schema import TABLES
from tests.catalog.serving import Server, serving, sql, store_url
from tests.reference import SPECIFICATION

Start = Callable[..., Server]


# What may be absent from the answers of this server, and why.
_ABSENT = re.compile(
    r"\w+ is not advertised"
    r"|no --credential was given"
    r"|the check runs without a token"
    r"|the plan of an empty table has no plan tasks"
)


def check(url: str, *only: str) -> dict[str, checks.Row]:
    """Check a catalog, and remove what the check created."""
    catalog = connect(url)
    sandbox = Sandbox(catalog, "check_")
    try:
        return {row.subject: row for row in checks.check(catalog, sandbox, only or checks.PROBES)}
    finally:
        sandbox.clear()


class TestTable:
    """The table of operations."""

    @pytest.mark.reference
    def test_it_is_the_document_s(self) -> None:
        document = yaml.safe_load(SPECIFICATION.read_text(encoding="utf-8"))
        operations = {
            (operation["operationId"], verb.upper(), path)
            for path, verbs in document["paths"].items()
            for verb, operation in verbs.items()
            if verb != "parameters"
        }
        assert {(each.id, each.verb, each.path) for each in OPERATIONS} == operations
        described = document["paths"]["/v1/config"]["get"]["description"]
        assert set(re.findall(r"- ((?:GET|POST|DELETE|HEAD) \S+)", described)) == ASSUMED

    def test_each_operation_is_there_once_and_probed(self) -> None:
        assert len(OPERATIONS) == len(BY_ID) == 35
        assert list(checks.PROBES)[:35] == list(BY_ID)
        for subject, probes in checks.PROBES.items():
            claims = [probe.__doc__ for probe in probes]
            assert all(claims), subject
            assert len(set(claims)) == len(claims) > 0, subject


class TestOurs:
    def test_it_passes_all_of_it(self, server: Server) -> None:
        rows = check(server.url)
        for row in rows.values():
            assert row.status != "fail", row
            for finding in row.findings:
                assert finding.status == "pass" or _ABSENT.fullmatch(finding.reason), finding
        offered = {"getConfig"} | {op.id for op in OPERATIONS if op.endpoint in ENDPOINTS}
        missing = {subject for subject, row in rows.items() if row.status == "absent"}
        assert missing & set(BY_ID) == set(BY_ID) - offered

    @pytest.mark.slow
    def test_it_passes_where_a_token_is_needed(self, start: Start, tmp_path: Path) -> None:
        server = start(auth__required=True)
        with closing(open_database(store_url(tmp_path))) as database:
            pair = ("checker", accounts.add(StoreCall(database), "checker", privileges=OWN))
        catalog = connect(server.url, credential=pair)
        sandbox = Sandbox(catalog, "check_")
        rows = {row.subject: row for row in checks.check(catalog, sandbox)}
        assert sandbox.clear() == []
        assert {row.status for row in rows.values()} == {"pass"}, rows
        for subject in ("getToken", "authentication", "createTable"):
            assert {each.status for each in rows[subject].findings} == {"pass"}, rows[subject]
        with pytest.raises(WrongCatalogError, match="expected 200, got 401"):
            connect(server.url)
        with pytest.raises(WrongCatalogError, match="invalid_client"):
            connect(server.url, credential=("checker", "wrong"))

    @pytest.mark.slow
    def test_it_is_left_as_it_was(self, ns: Server) -> None:
        """No row, file or folder is left, and the drops of others stay."""
        table = ns.table("t")
        ns.table("dropped")
        ns.ok("DELETE", "/v1/namespaces/ns/tables/dropped")
        before = left_in(ns)
        check(ns.url)
        assert left_in(ns) == before
        assert before["dropped_tabulars"] == 1
        assert ns.ok("GET", "/v1/namespaces")["namespaces"] == [["ns"]]
        assert ns.ok("GET", "/v1/namespaces/ns/tables/t") == table


def left_in(server: Server) -> dict[str, object]:
    """Return the paths in the warehouse, and the number of rows in each table of the store.

    Records of idempotency keys end by themselves, and those of the audit log are kept.
    """
    rows = {
        name: sql(server.folder, f"SELECT count(*) FROM {name}")[0][0]
        for name in TABLES
        if name not in {"idempotency_keys", "events", "refusals"}
    }
    return {**rows, "paths": sorted(map(str, server.warehouse.rglob("*")))}


Headers = list[tuple[str, str]]
Answered = tuple[str, Headers, bytes]


class Spoiled:
    """A catalog, some of whose answers are spoiled before they leave."""

    def __init__(self, app: Any, spoil: Callable[[dict[str, Any], Answered], Answered]) -> None:
        self._app = app
        self._spoil = spoil

    def answer(self, environ: dict[str, Any]) -> Answered:
        head: list[Any] = []

        def start_response(status: str, headers: Headers, *_: object) -> None:
            head[:] = [status, headers]

        content = b"".join(self._app(environ, start_response))
        return head[0], head[1], content

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        status, headers, content = self._spoil(environ, self.answer(environ))
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(content)))])
        return [content]


def status_of(old: str, new: str) -> Callable[[dict[str, Any], Answered], Answered]:
    """Answer another status."""

    def spoil(_environ: dict[str, Any], answered: Answered) -> Answered:
        status, headers, content = answered
        return (new if status.startswith(old) else status), headers, content

    return spoil


def error_as(change: Callable[[dict[str, Any]], Any]) -> Callable[..., Answered]:
    """Answer another document in place of an error."""

    def spoil(environ: dict[str, Any], answered: Answered) -> Answered:
        status, headers, content = answered
        if status[0] == "4" and content and environ["REQUEST_METHOD"] != "HEAD":
            content = json.dumps(change(json.loads(content)["error"])).encode()
        return status, headers, content

    return spoil


def bare(error: dict[str, Any]) -> dict[str, Any]:
    return error


def of_one_type(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": {**error, "type": "CatalogException"}}


def without_code(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": {**error, "code": str(error["code"])}}


def metadata_as(change: Callable[[dict[str, Any]], None]) -> Callable[..., Answered]:
    """Answer other metadata."""

    def spoil(_environ: dict[str, Any], answered: Answered) -> Answered:
        status, headers, content = answered
        if b'"metadata":' in content:
            document = json.loads(content)
            change(document["metadata"])
            content = json.dumps(document).encode()
        return status, headers, content

    return spoil


def without_properties(metadata: dict[str, Any]) -> None:
    del metadata["properties"]


def with_another_uuid(metadata: dict[str, Any]) -> None:
    metadata["table-uuid"] = metadata["location"][-36:][::-1]


def untyped(_environ: dict[str, Any], answered: Answered) -> Answered:
    status, headers, content = answered
    return status, [pair for pair in headers if pair[0].lower() != "content-type"], content


FAULTS = [
    ("201 for 200", status_of("200", "201 Created"), ["createTable", "loadTable", "createView"]),
    ("200 for 204", status_of("204", "200 OK"), ["tableExists", "dropNamespace", "renameTable"]),
    ("500 for 404", status_of("404", "500 Oops"), ["loadTable", "viewExists", "dropView"]),
    ("400 for 409", status_of("409", "400 Bad"), ["createTable", "requirements", "snapshots"]),
    ("200 for 304", status_of("304", "200 OK"), ["tags"]),
    ("bare errors", error_as(bare), ["loadTable", "errors", "dropNamespace"]),
    ("one error type", error_as(of_one_type), ["loadTable", "loadView", "requirements"]),
    ("a code that is text", error_as(without_code), ["loadTable", "errors"]),
    ("no properties", metadata_as(without_properties), ["createTable", "updateTable"]),
    ("uuids of its own", metadata_as(with_another_uuid), ["requirements", "updateTable"]),
    ("no content type", untyped, ["loadTable", "errors", "listViews"]),
]


class TestOthers:
    """Faults of other catalogs are found."""

    @pytest.mark.parametrize(
        ("spoil", "subjects"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
    )
    def test_a_fault_in_answers_is_found(
        self, tmp_path: Path, spoil: Callable[..., Answered], subjects: list[str]
    ) -> None:
        def around(app: Any) -> Spoiled:
            return Spoiled(app, lambda environ, got: spare_config(environ, got, spoil))

        with serving(tmp_path, around) as server:
            for subject, row in check(server.url, *subjects).items():
                assert row.status == "fail", subject

    def test_pages_without_end_are_found(self, tmp_path: Path) -> None:
        def around(app: Any) -> Any:
            def forget(environ: dict[str, Any], start_response: Any) -> Any:
                query = environ["QUERY_STRING"]
                environ["QUERY_STRING"] = re.sub(r"pageToken=[^&]+", "pageToken=", query)
                return app(environ, start_response)

            return forget

        with serving(tmp_path, around) as server:
            row = check(server.url, "pages")["pages"]
        assert [finding.status for finding in row.findings] == ["fail"] * 4
        assert "a list of 5 has more than 20 pages" in row.findings[0].reason

    def test_transactions_that_leave_half_behind_are_found(self, tmp_path: Path) -> None:
        with serving(tmp_path, one_by_one) as server:
            row = check(server.url, "commitTransaction")["commitTransaction"]
        assert [finding.status for finding in row.findings] == ["pass", "fail", "fail", "fail"]
        assert "after a transaction that failed" in row.findings[1].reason

    def test_keys_that_are_promised_and_not_kept_are_found(self, tmp_path: Path) -> None:
        with serving(tmp_path, lambda app: Spoiled(without_keys(app), promise)) as server:
            row = check(server.url, "retries")["retries"]
        assert [finding.status for finding in row.findings] == ["fail"] * 7


def spare_config(
    environ: dict[str, Any], answered: Answered, spoil: Callable[..., Answered]
) -> Answered:
    """Spoil anything but the configuration, without which there is nothing to check."""
    return answered if environ["PATH_INFO"] == "/v1/config" else spoil(environ, answered)


def promise(environ: dict[str, Any], answered: Answered) -> Answered:
    status, headers, content = answered
    if environ["PATH_INFO"] == "/v1/config":
        config = {**json.loads(content), "idempotency-key-lifetime": "half an hour"}
        content = json.dumps(config).encode()
    return status, headers, content


def without_keys(app: Any) -> Any:
    def deaf(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("HTTP_IDEMPOTENCY_KEY", None)
        return app(environ, start_response)

    return deaf


def one_by_one(app: Any) -> Any:
    """Commit the tables of a transaction one after the other, as a careless catalog would."""

    def careless(environ: dict[str, Any], answered: Answered) -> Answered:
        if environ["PATH_INFO"] != "/v1/default/transactions/commit":
            return answered
        for change in json.loads(environ["kept.body"])["table-changes"]:
            names = change["identifier"]
            path = f"/v1/namespaces/{names['namespace'][0]}/tables/{names['name']}"
            content = json.dumps(change).encode()
            single = {"PATH_INFO": path, "REQUEST_URI": path, "CONTENT_LENGTH": str(len(content))}
            body = {"wsgi.input": io.BytesIO(content)}
            answered = Spoiled(app, careless).answer({**environ, **single, **body})
            if not answered[0].startswith("200"):
                return answered
        return "204 No Content", [], b""

    def keep_body(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/v1/default/transactions/commit":
            environ["kept.body"] = environ["wsgi.input"].read()
            start_response("204 No Content", [])
            return [b""]
        return app(environ, start_response)

    return Spoiled(keep_body, careless)


class TestCommand:
    def run(self, *arguments: str) -> Any:
        return CliRunner().invoke(main, ["check", *arguments])

    def test_a_report_is_a_table_and_a_document(self, server: Server, tmp_path: Path) -> None:
        file = tmp_path / "report.json"
        done = self.run(f"{server.url}/v1/", "--warehouse", "default", "--json", str(file))
        assert done.exit_code == 0, done.output
        lines = [line.split() for line in done.output.splitlines() if line[:1].strip()]
        marked = {words[1]: words[0] for words in lines if len(words) > 1}
        assert marked["getConfig"] == marked["createTable"] == marked["pages"] == "✓"
        assert done.output.splitlines()[-1].startswith("35 operations: ")
        report = json.loads(file.read_text(encoding="utf-8"))
        assert report["summary"]["fail"] == 0
        assert sum(report["summary"].values()) == len(report["rows"]) == len(checks.PROBES)
        assert report["rows"][0] == {
            "subject": "getConfig",
            "kind": "operation",
            "endpoint": "GET /v1/config",
            "status": "pass",
            "probes": [
                {"claim": probe.__doc__, "status": "pass", "reason": None}
                for probe in checks.PROBES["getConfig"]
            ],
        }

    @pytest.mark.slow
    def test_a_failure_is_reported_with_its_reason_and_status_1(self, tmp_path: Path) -> None:
        def around(app: Any) -> Spoiled:
            return Spoiled(app, status_of("204", "200 OK"))

        with serving(tmp_path, around) as server:
            done = self.run(server.url, "--json", "-", "--namespace", "mine_")
            assert server.ok("GET", "/v1/namespaces")["namespaces"] == []
        assert done.exit_code == 1, done.output
        rows = {row["subject"]: row for row in json.loads(done.stdout)["rows"]}
        (failed,) = [each for each in rows["namespaceExists"]["probes"] if each["reason"]]
        assert failed["status"] == rows["namespaceExists"]["status"] == "fail"
        assert "HEAD /v1/default/namespaces/mine_" in failed["reason"]
        assert "expected 204, got 200" in failed["reason"]

    def test_what_is_interrupted_leaves_nothing_behind(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(row: checks.Row) -> list[str]:
            if row.subject == "createTable":
                assert server.ok("GET", "/v1/namespaces")["namespaces"] != []
                raise KeyboardInterrupt
            return []

        monkeypatch.setattr("falcon_catalog.conformance.report.lines", interrupt)
        assert self.run(server.url).exit_code == 1
        assert server.ok("GET", "/v1/namespaces")["namespaces"] == []

    @pytest.mark.parametrize(
        ("uri", "said"),
        [
            ("nonsense", "a catalog's URI is http://HOST… or https://HOST…"),
            ("ftp://127.0.0.1/x", "a catalog's URI is http://HOST… or https://HOST…"),
            ("http://127.0.0.1:99999", "Port out of range"),
            ("http://127.0.0.1:1/?a=b", "neither ? nor #"),
            ("http://127.0.0.1:1", "no Iceberg REST catalog answers: GET /v1/config: no answer"),
            ("{url}/health/live", "GET /health/live/v1/config: expected 200, got 404"),
        ],
    )
    def test_a_wrong_uri_is_one_line_and_status_2(
        self, server: Server, uri: str, said: str
    ) -> None:
        done = self.run(uri.format(url=server.url))
        assert done.exit_code == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ")
        assert said in line

    def test_a_warehouse_that_does_not_exist_is_one_line_and_status_2(self, server: Server) -> None:
        done = self.run(server.url, "--warehouse", "none")
        assert done.exit_code == 2
        (line,) = done.stderr.splitlines()
        assert "Warehouse does not exist: none" in line

    @pytest.mark.parametrize(
        "flags", [["--token", "t", "--credential", "a:b"], ["--credential", "ab"]]
    )
    def test_who_asks_must_be_clear(self, flags: list[str]) -> None:
        assert self.run("http://127.0.0.1:1", *flags).exit_code == 2

    @pytest.mark.slow
    def test_a_token_goes_out_with_the_requests(self, tmp_path: Path) -> None:
        seen: list[str | None] = []

        def around(app: Any) -> Any:
            def look(environ: dict[str, Any], start_response: Any) -> Any:
                seen.append(environ.get("HTTP_AUTHORIZATION"))
                return app(environ, start_response)

            return look

        with serving(tmp_path, around) as server:
            self.run(server.url, "--token", "abc")
        assert set(seen) == {"Bearer abc", None}
        assert seen.count(None) == 1  # to find out whether a token is needed
