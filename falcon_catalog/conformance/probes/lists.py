"""Pages of lists, and tags of tables."""

from falcon_catalog.conformance.answers import (
    JSON,
    AbsentError,
    FailureError,
    expect,
    expect_equal,
    expect_field,
)
from falcon_catalog.conformance.probes.commits import set_properties
from falcon_catalog.conformance.probes.updates import appending, ref
from falcon_catalog.conformance.sandbox import Kind, Levels, Sandbox, Tabular

_SIZE = "2"
_ENTRIES = 5
_MAX_PAGES = 20


def _names(page: JSON) -> list[str]:
    return [each["name"] for each in expect_field(page, "identifiers", list, "a page")]


def _page(sandbox: Sandbox, operation: str, namespace: Levels, token: str) -> JSON:
    query = {"pageToken": token, "pageSize": _SIZE}
    page = sandbox.catalog.call(operation, namespace=namespace, query=query).object()
    if "next-page-token" not in page:
        raise AbsentError(f"{operation} has no next-page-token: it does not page")
    names = _names(page)
    expect(len(names) <= int(_SIZE), f"a page of pageSize {_SIZE} has {len(names)} entries")
    return page


def _rest(sandbox: Sandbox, operation: str, namespace: Levels, page: JSON) -> list[str]:
    """Return the names on a page and on all that follow it."""
    listed = _names(page)
    for _ in range(_MAX_PAGES):
        if page["next-page-token"] is None:
            return listed
        token = expect_field(page, "next-page-token", str, "a page")
        expect(token != "", "next-page-token is empty; clients would start over")
        page = _page(sandbox, operation, namespace, token)
        listed += _names(page)
    raise FailureError(f"{operation}: a list of {_ENTRIES} has more than {_MAX_PAGES} pages")


def _pages(sandbox: Sandbox, operation: str, namespace: Levels) -> None:
    listed = _rest(sandbox, operation, namespace, _page(sandbox, operation, namespace, ""))
    whole = sandbox.catalog.call(operation, namespace=namespace).object()
    expect(whole.get("next-page-token") is None, "without pageToken there is a next-page-token")
    expect_equal(sorted(listed), sorted(_names(whole)), "all pages together")


def _filled(sandbox: Sandbox, kind: Kind) -> Levels:
    namespace = sandbox.new_namespace()
    for _ in range(_ENTRIES):
        sandbox.create(kind, namespace=namespace)
    return namespace


def pages_tables(sandbox: Sandbox) -> None:
    """Return tables in pages of at most pageSize; together they are the list without paging."""
    _pages(sandbox, "listTables", _filled(sandbox, "Table"))


def pages_views(sandbox: Sandbox) -> None:
    """Return views in pages of at most pageSize; together they are the list without paging."""
    _pages(sandbox, "listViews", _filled(sandbox, "View"))


def pages_changing_lists(sandbox: Sandbox) -> None:
    """Neither skip nor repeat an entry while others are added and dropped between pages."""
    namespace = _filled(sandbox, "Table")
    stable = set(_names(sandbox.catalog.call("listTables", namespace=namespace).object()))
    first = _page(sandbox, "listTables", namespace, "")
    gone = _names(first)[0]
    sandbox.catalog.call("dropTable", namespace=namespace, table=gone).empty()
    sandbox.table(namespace=namespace, name="a")
    sandbox.table(namespace=namespace, name="zz")
    seen = _rest(sandbox, "listTables", namespace, first)
    expect_equal(len(seen), len(set(seen)), "the number of different entries")
    missed = sorted(stable - set(seen))
    expect(not missed, f"the pages skip {missed}")


def refuses_other_tokens(sandbox: Sandbox) -> None:
    """Return 400 for a page token that the catalog did not issue."""
    namespace = sandbox.new_namespace()
    if "next-page-token" not in sandbox.catalog.call("listTables", namespace=namespace).object():
        raise AbsentError("listTables has no next-page-token: it does not page")
    query = {"pageToken": "not a token!", "pageSize": _SIZE}
    sandbox.catalog.call("listTables", namespace=namespace, query=query).error(400)


def _tag(sandbox: Sandbox, table: Tabular, **query: str) -> str:
    answer = sandbox.call("loadTable", table, query=query)
    answer.object()
    if "etag" not in answer.headers:
        raise AbsentError("loadTable returns no ETag")
    return answer.headers["etag"]


def _load_if_none_match(sandbox: Sandbox, table: Tabular, tag: str) -> int:
    answer = sandbox.call("loadTable", table, headers={"If-None-Match": tag})
    if answer.status == 304:  # noqa: PLR2004
        answer.expect_no_content()
    else:
        answer.object()
    return answer.status


def returns_not_modified(sandbox: Sandbox) -> None:
    """Return 304 without a body for the current tag, and 200 after a commit."""
    table = sandbox.table()
    tag = _tag(sandbox, table)
    expect_equal(_load_if_none_match(sandbox, table, tag), 304, "the status for the current tag")
    sandbox.commit(table, [set_properties(a="b")]).object()
    expect_equal(_load_if_none_match(sandbox, table, tag), 200, "the status for the previous tag")
    expect(_tag(sandbox, table) != tag, "the tag stayed through a commit")


def tags_commits(sandbox: Sandbox) -> None:
    """Return with a commit the tag that the table then loads with."""
    table = sandbox.table()
    answer = sandbox.commit(table, [set_properties(a="b")])
    answer.object()
    if "etag" not in answer.headers:
        raise AbsentError("updateTable returns no ETag")
    expect_equal(answer.headers["etag"], _tag(sandbox, table), "the tag of a commit")


def tags_representations(sandbox: Sandbox) -> None:
    """Return different tags with snapshots=all and with snapshots=refs."""
    table = sandbox.table()
    sandbox.commit(table, appending(table, 1)).object()
    expect(
        _tag(sandbox, table) != _tag(sandbox, table, snapshots="refs"), "all and refs share a tag"
    )


def filters_snapshots(sandbox: Sandbox) -> None:
    """Return with snapshots=refs only the snapshots that a branch or tag names."""
    table = sandbox.table()
    first, second, third = (appending(table, number) for number in (1, 2, 3))
    kept = ref("kept", first[0]["snapshot"]["snapshot-id"], "tag")
    sandbox.commit(table, [*first, kept]).object()
    sandbox.commit(table, second).object()
    sandbox.commit(table, third).object()
    wanted = {
        "all": sorted(each[0]["snapshot"]["snapshot-id"] for each in (first, second, third)),
        "refs": sorted(each[0]["snapshot"]["snapshot-id"] for each in (first, third)),
    }
    for mode, ids in wanted.items():
        loaded = sandbox.load(table, snapshots=mode)["metadata"]["snapshots"]
        found = sorted(each["snapshot-id"] for each in loaded)
        expect_equal(found, ids, f"the snapshots of snapshots={mode}")


PROBES = {
    "pages": (pages_tables, pages_views, pages_changing_lists, refuses_other_tokens),
    "tags": (returns_not_modified, tags_commits, tags_representations),
    "snapshots=refs": (filters_snapshots,),
}
