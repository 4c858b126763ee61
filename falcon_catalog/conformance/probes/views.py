"""Views: create, load, replace, rename, register."""

from falcon_catalog.conformance.answers import expect, expect_equal, expect_field
from falcon_catalog.conformance.probes.commits import NOBODY, set_properties
from falcon_catalog.conformance.probes.probe import BAD_REQUEST, CONFLICT, NO_VIEW, refuses
from falcon_catalog.conformance.probes.tabulars import dropped, register, rename, shared_probes
from falcon_catalog.conformance.sandbox import SCHEMA, Sandbox, view_version


def creates(sandbox: Sandbox) -> None:
    """Return the metadata and its location, and load the same view afterwards."""
    made = sandbox.view({"properties": {"owner": "check"}})
    metadata = made.metadata
    for field in ("view-uuid", "location"):
        expect_field(metadata, field, str, "the metadata")
    (version,) = expect_field(metadata, "versions", list, "the metadata")
    expect_equal(version.get("version-id"), metadata.get("current-version-id"), "version-id")
    (schema,) = expect_field(metadata, "schemas", list, "the metadata")
    expect_equal(version.get("schema-id"), schema.get("schema-id"), "schema-id")
    found = sandbox.load(made)
    expect_equal(found.get("metadata-location"), made.metadata_location, "metadata-location")
    expect_equal(found.get("metadata"), metadata, "the metadata that loads")


def loads(sandbox: Sandbox) -> None:
    """Return the view, with or without referenced-by."""
    made = sandbox.view()
    for query in ({}, {"referenced-by": "\x1f".join((*made.namespace, "outer"))}):
        found = sandbox.call("loadView", made, query=query).object()
        expect_equal(found.get("metadata"), made.metadata, "the metadata that loads")


def replaces(sandbox: Sandbox) -> None:
    """Add a version, make it current, and keep the previous one."""
    made = sandbox.view()
    version = {**view_version(made.namespace, "select 2 as id"), "version-id": 2}
    updates = [
        {"action": "add-view-version", "view-version": version},
        {"action": "set-current-view-version", "view-version-id": -1},
    ]
    uuid = {"type": "assert-view-uuid", "uuid": made.metadata["view-uuid"]}
    metadata = sandbox.commit(made, updates, [uuid]).object()["metadata"]
    expect_equal(len(metadata["versions"]), 2, "the number of versions")
    first = made.metadata["current-version-id"]
    expect(metadata["current-version-id"] != first, "the current version stayed")
    expect_equal(sandbox.load(made)["metadata"], metadata, "the metadata that loads")


def reports_conflicts(sandbox: Sandbox) -> None:
    """Return 409 CommitFailedException for another view's uuid, and change nothing."""
    made = sandbox.view()
    uuid = {"type": "assert-view-uuid", "uuid": NOBODY}
    sandbox.commit(made, [set_properties(a="b")], [uuid]).error(*CONFLICT)
    expect_equal(sandbox.load(made)["metadata"], made.metadata, "the metadata after a conflict")


def renames(sandbox: Sandbox) -> None:
    """Return 204 and give the same view its new name."""
    made = sandbox.view()
    answer, new = rename(sandbox, made)
    answer.empty()
    expect_equal(sandbox.load(new)["metadata"], made.metadata, "the metadata after a rename")
    sandbox.expect_gone(made)


def registers(sandbox: Sandbox) -> None:
    """Add a view whose metadata file exists."""
    old = dropped(sandbox, "View")
    answer = register(sandbox, old, sandbox.unique("registered")).object()
    expect_equal(answer.get("metadata"), old.metadata, "the metadata that was registered")


_SHARED = shared_probes("View")
PROBES = {
    **_SHARED,
    "createView": (
        creates,
        *_SHARED["createView"],
        refuses(
            BAD_REQUEST,
            "for a view without a version",
            lambda s: s.catalog.call(
                "createView",
                {"name": s.unique("v"), "schema": SCHEMA, "properties": {}},
                namespace=s.namespace,
            ),
        ),
    ),
    "loadView": (loads, *_SHARED["loadView"]),
    "replaceView": (
        replaces,
        reports_conflicts,
        refuses(
            BAD_REQUEST,
            "for an unknown update, and for one that only tables have",
            lambda s: s.commit(s.view(), [{"action": "no-such-update"}]),
            lambda s: s.commit(s.view(), [{"action": "set-default-spec", "spec-id": 0}]),
        ),
        refuses(
            NO_VIEW,
            "for a commit to a view that does not exist",
            lambda s: s.commit(s.missing("View"), [set_properties(a="b")]),
        ),
    ),
    "renameView": (renames, *_SHARED["renameView"]),
    "registerView": (registers, *_SHARED["registerView"]),
}
