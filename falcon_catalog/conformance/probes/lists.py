"""Pages of lists, and tags of tables."""

from collections.abc import Callable

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
from falcon_catalog.conformance.room import Levels, Made, Room

_SIZE = "2"
_ENTRIES = 5
_MAX_PAGES = 20


def _names(page: JSON) -> list[str]:
    return [each["name"] for each in expect_field(page, "identifiers", list, "a page")]


def _page(room: Room, operation: str, namespace: Levels, token: str) -> JSON:
    query = {"pageToken": token, "pageSize": _SIZE}
    page = room.catalog.call(operation, namespace=namespace, query=query).object()
    if "next-page-token" not in page:
        raise AbsentError(f"{operation} has no next-page-token: it does not page")
    names = _names(page)
    expect(len(names) <= int(_SIZE), f"a page of pageSize {_SIZE} has {len(names)} entries")
    return page


def _rest(room: Room, operation: str, namespace: Levels, page: JSON) -> list[str]:
    """Return the names on a page and on all that follow it."""
    listed = _names(page)
    for _ in range(_MAX_PAGES):
        if page["next-page-token"] is None:
            return listed
        token = expect_field(page, "next-page-token", str, "a page")
        expect(token != "", "next-page-token is empty; clients would begin anew")
        page = _page(room, operation, namespace, token)
        listed += _names(page)
    raise FailureError(f"{operation}: a list of {_ENTRIES} has more than {_MAX_PAGES} pages")


def _pages(room: Room, operation: str, namespace: Levels) -> None:
    listed = _rest(room, operation, namespace, _page(room, operation, namespace, ""))
    whole = room.catalog.call(operation, namespace=namespace).object()
    expect(whole.get("next-page-token") is None, "without pageToken there is a next-page-token")
    expect_equal(sorted(listed), sorted(_names(whole)), "all pages together")


def _filled(room: Room, make: Callable[[Levels], Made]) -> Levels:
    namespace = room.new_namespace()
    for _ in range(_ENTRIES):
        make(namespace)
    return namespace


def pages_tables(room: Room) -> None:
    """Answer tables in pages of at most pageSize: together, what comes at once without a token."""
    _pages(room, "listTables", _filled(room, room.table))


def pages_views(room: Room) -> None:
    """Answer views in pages of at most pageSize: together, what comes at once without a token."""
    _pages(room, "listViews", _filled(room, room.view))


def pages_what_changes(room: Room) -> None:
    """Neither skip nor repeat an entry while others come and go between two pages."""
    namespace = _filled(room, room.table)
    stable = set(_names(room.catalog.call("listTables", namespace=namespace).object()))
    first = _page(room, "listTables", namespace, "")
    gone = _names(first)[0]
    room.catalog.call("dropTable", namespace=namespace, table=gone).empty()
    room.table(namespace, name="a")
    room.table(namespace, name="zz")
    seen = _rest(room, "listTables", namespace, first)
    expect_equal(len(seen), len(set(seen)), "the number of different entries")
    missed = sorted(stable - set(seen))
    expect(not missed, f"the pages skip {missed}")


def refuses_foreign_tokens(room: Room) -> None:
    """Answer 400 to a page token that the catalog never gave."""
    namespace = room.new_namespace()
    if "next-page-token" not in room.catalog.call("listTables", namespace=namespace).object():
        raise AbsentError("listTables has no next-page-token: it does not page")
    query = {"pageToken": "no token of yours!", "pageSize": _SIZE}
    room.catalog.call("listTables", namespace=namespace, query=query).error(400)


def _tag(room: Room, table: Made, **query: str) -> str:
    answer = room.catalog.call(
        "loadTable", namespace=table.namespace, table=table.name, query=query
    )
    answer.object()
    if "etag" not in answer.headers:
        raise AbsentError("loadTable answers no ETag")
    return answer.headers["etag"]


def _load_if_none_match(room: Room, table: Made, tag: str) -> int:
    answer = room.catalog.call(
        "loadTable",
        namespace=table.namespace,
        table=table.name,
        headers={"If-None-Match": tag},
    )
    if answer.status == 304:  # noqa: PLR2004
        answer.expect_no_content()
    else:
        answer.object()
    return answer.status


def spares_what_is_known(room: Room) -> None:
    """Answer 304 without a body to the tag of the present state, and 200 after a commit."""
    table = room.table()
    tag = _tag(room, table)
    expect_equal(_load_if_none_match(room, table, tag), 304, "the status for the present tag")
    room.commit(table, [set_properties(a="b")]).object()
    expect_equal(_load_if_none_match(room, table, tag), 200, "the status for the past tag")
    expect(_tag(room, table) != tag, "the tag stayed through a commit")


def tags_commits(room: Room) -> None:
    """Answer to a commit the tag with which the table then loads."""
    table = room.table()
    answer = room.commit(table, [set_properties(a="b")])
    answer.object()
    if "etag" not in answer.headers:
        raise AbsentError("updateTable answers no ETag")
    expect_equal(answer.headers["etag"], _tag(room, table), "the tag of a commit")


def tags_representations(room: Room) -> None:
    """Answer different tags for all snapshots and for those with a name."""
    table = room.table()
    room.commit(table, appending(table, 1)).object()
    expect(_tag(room, table) != _tag(room, table, snapshots="refs"), "all and refs share a tag")


def shows_named_snapshots(room: Room) -> None:
    """Answer with snapshots=refs only the snapshots that a branch or tag names."""
    table = room.table()
    first, second = appending(table, 1), appending(table, 2)
    third = appending(table, 3)
    kept = ref("kept", first[0]["snapshot"]["snapshot-id"], "tag")
    room.commit(table, [*first, kept]).object()
    room.commit(table, second).object()
    room.commit(table, third).object()
    wanted = {
        "all": sorted(each[0]["snapshot"]["snapshot-id"] for each in (first, second, third)),
        "refs": sorted(each[0]["snapshot"]["snapshot-id"] for each in (first, third)),
    }
    for mode, ids in wanted.items():
        loaded = room.load(table, snapshots=mode)["metadata"]["snapshots"]
        found = sorted(each["snapshot-id"] for each in loaded)
        expect_equal(found, ids, f"the snapshots of snapshots={mode}")


PROBES = {
    "pages": (pages_tables, pages_views, pages_what_changes, refuses_foreign_tokens),
    "tags": (spares_what_is_known, tags_commits, tags_representations),
    "snapshots=refs": (shows_named_snapshots,),
}
