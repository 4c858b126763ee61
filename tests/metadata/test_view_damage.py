"""Damaged views: whatever a client or file holds, nothing is raised but a CatalogError."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.view.metadata import ViewMetadata

from falcon_catalog.errors import BadRequestError, CatalogError
from falcon_catalog.metadata import view
from tests.metadata import viewing as v
from tests.metadata.test_damage import FUZZ, JUNK, damage


def every_update() -> list[v.JSON]:
    """Return one valid update of each kind."""
    return [
        {"action": "assign-uuid", "uuid": v.UUID},
        {"action": "upgrade-format-version", "format-version": 1},
        {"action": "set-location", "location": "file:/x"},
        v.set_properties(version__history__num_entries="3", replace__drop_dialect__allowed="true"),
        {"action": "remove-properties", "removals": ["a"]},
        v.add_schema("y"),
        v.add_version("select y", "trino", schema_id=-1, default_catalog="prod"),
        v.set_version(),
    ]


def history() -> v.JSON:
    meta = v.create(properties={"a": "b"})
    for number in range(2, 5):
        meta = v.replaced(meta, f"select {number}", default_catalog="prod")
    return meta


def test_the_updates_that_are_damaged_below_are_all_8_and_sound() -> None:
    updates = every_update()
    assert {update["action"] for update in updates} == set(view.UPDATES)
    assert len(updates) == 8
    new = v.apply(history(), *updates)
    assert view.validate(new) is new


@FUZZ
@given(data=st.data())
def test_damaged_updates_raise_nothing_but_catalog_errors(data: st.DataObject) -> None:
    base, updates = history(), damage(data, every_update())
    if data.draw(st.booleans()):
        updates = damage(data, updates)
    before = copy.deepcopy(base)
    try:
        new = v.apply(base, *updates)
    except CatalogError:
        new = base
    assert base == before
    assert view.validate(new) is new
    ViewMetadata.model_validate_json(orjson.dumps(new))


@FUZZ
@given(data=st.data())
def test_damaged_create_requests_raise_nothing_but_catalog_errors(data: st.DataObject) -> None:
    request = v.request(properties={"a": "b"}, view_version=v.version(default_catalog="prod"))
    try:
        new = view.create(damage(data, request), location="file:/x", view_uuid=v.UUID, now_ms=1)
    except CatalogError:
        return
    assert view.validate(new) is new
    ViewMetadata.model_validate_json(orjson.dumps(new))


@FUZZ
@given(data=st.data())
def test_damaged_metadata_is_refused_or_can_be_committed_to(data: st.DataObject) -> None:
    try:
        meta = view.validate(damage(data, history()))
    except CatalogError:
        return
    assert view.validate(meta) is meta
    assert b"null" not in orjson.dumps({**meta, "schemas": []})
    try:
        new = v.apply(meta, *every_update())
    except CatalogError:
        return
    assert view.validate(new) is new


@FUZZ
@given(junk=JUNK)
def test_junk_raises_nothing_but_catalog_errors(junk: Any) -> None:
    base = v.create()
    for call in (
        lambda: view.apply(base, junk, now_ms=1),
        lambda: view.apply(junk, [], now_ms=1),
        lambda: view.check_requirements(base, junk),
        lambda: view.validate(junk),
        lambda: view.create(junk, location="file:/x", view_uuid=v.UUID, now_ms=1),
    ):
        try:
            call()
        except CatalogError:
            continue


class TestValidation:
    def test_what_java_leaves_out_is_filled_in(self) -> None:
        whole = v.create()
        file = {key: value for key, value in whole.items() if key != "properties"}
        file["versions"] = [{**whole["versions"][0], "default-catalog": None}]
        assert view.validate(file) == whole
        assert v.apply(file) is file

    @pytest.mark.parametrize(
        ("part", "said"),
        [
            (
                {"current-version-id": 1234},
                "Cannot find current version 1234 in view versions: [1]",
            ),
            ({"schemas": []}, "Cannot find current schema with id 0 in schemas: []"),
            ({"format-version": 2}, "Unsupported format version: 2"),
            ({"view-uuid": "x"}, "Invalid view metadata, field view-uuid: 'x' is no UUID"),
            (
                {"versions": [v.version(), v.version("select 2")]},
                "Invalid view metadata: versions share an id: [1, 1]",
            ),
            (
                {"version-log": [{}]},
                "Invalid view metadata, field version-log[0]: missing field timestamp-ms",
            ),
            ({"schemas": [{"type": "struct", "fields": []}]}, "missing field schema-id"),
        ],
    )
    def test_a_broken_file_is_explained(self, part: v.JSON, said: str) -> None:
        with pytest.raises(BadRequestError) as error:
            view.validate({**v.create(), **part})
        assert said in error.value.message
