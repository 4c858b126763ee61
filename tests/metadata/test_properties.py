from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import table


def refusal(make: Any, base: Any, *updates: dict[str, Any]) -> str:
    with pytest.raises(BadRequestError) as error:
        make.apply(base, *updates)
    return error.value.message


def upgrade(version: Any) -> dict[str, Any]:
    return {"action": "upgrade-format-version", "format-version": version}


def test_properties_are_set_and_removed(make: Any) -> None:
    new = make.apply(
        make.table(properties={"a": "1", "b": "2"}),
        {"action": "set-properties", "updates": {"a": "3", "c": "4"}},
        {"action": "remove-properties", "removals": ["b", "absent"]},
    )
    assert new["properties"] == {"write.parquet.compression-codec": "zstd", "a": "3", "c": "4"}


def test_the_legacy_field_names_work(make: Any) -> None:
    new = make.apply(
        make.table(properties={"a": "1"}),
        {"action": "set-properties", "updated": {"b": "2"}},
        {"action": "remove-properties", "removed": ["a"]},
    )
    assert new["properties"] == {"write.parquet.compression-codec": "zstd", "b": "2"}


def test_no_properties_is_no_change_but_the_same_value_is_one(make: Any) -> None:
    base = make.table(properties={"a": "1"})
    assert make.apply(base, {"action": "set-properties", "updates": {}}) is base
    assert make.apply(base, {"action": "remove-properties", "removals": []}) is base
    assert make.apply(base, {"action": "set-properties", "updates": {"a": "1"}}) is not base
    assert make.apply(base, {"action": "remove-properties", "removals": ["z"]}) is not base


def test_reserved_properties_are_not_stored(make: Any) -> None:
    base = make.table()
    updates = {"format-version": "3", "uuid": "x"}
    assert make.apply(base, {"action": "set-properties", "updates": updates}) is base


def test_the_location_moves(make: Any) -> None:
    base = make.table()
    new = make.apply(base, {"action": "set-location", "location": "file:/elsewhere/"})
    assert new["location"] == "file:/elsewhere"
    assert make.apply(base, {"action": "set-location", "location": base["location"] + "/"}) is base
    assert "must not be empty" in refusal(make, base, {"action": "set-location", "location": "/"})


def test_the_uuid_stays(make: Any) -> None:
    base = make.table()
    same = {"action": "assign-uuid", "uuid": make.uuid.upper()}
    assert make.apply(base, same) is base
    other = "00000000-0000-0000-0000-000000000001"
    text = refusal(make, base, {"action": "assign-uuid", "uuid": other})
    assert text == f"Cannot reassign the table's UUID: {make.uuid} != {other}"
    text = refusal(make, base, {"action": "assign-uuid", "uuid": "nope"})
    assert text == "Invalid assign-uuid update, field uuid: 'nope' is no UUID"


def test_the_version_goes_up_only(make: Any) -> None:
    base = make.table(2)
    assert make.apply(base, upgrade(2)) is base
    assert refusal(make, base, upgrade(1)) == "Cannot downgrade v2 table to v1"
    assert refusal(make, base, upgrade(4)) == (
        "Cannot upgrade table to unsupported format version: v4 (supported: v3)"
    )


def test_an_upgrade_brings_the_fields_of_the_new_version(make: Any) -> None:
    first = make.history(2, version=1)
    second = make.apply(first, upgrade(2))
    assert second["last-sequence-number"] == 0
    assert not {"schema", "partition-spec"} & set(second)
    third = make.apply(second, upgrade(3), *make.append(3, 2, first_row_id=0, added_rows=4))
    assert third["next-row-id"] == 4
    assert third["snapshots"][2]["sequence-number"] == 3


def key(key_id: str, **more: str) -> dict[str, Any]:
    return {
        "action": "add-encryption-key",
        "encryption-key": {"key-id": key_id, "encrypted-key-metadata": "c2VjcmV0", **more},
    }


def test_encryption_keys_come_and_go_in_v3(make: Any) -> None:
    base = make.table(3)
    assert "encryption-keys" not in base
    new = make.apply(base, key("a"), key("b", **{"encrypted-by-id": "a"}))
    assert [item["key-id"] for item in new["encryption-keys"]] == ["a", "b"]
    assert make.apply(new, key("a")) is new
    assert refusal(make, new, key("a", **{"encrypted-by-id": "b"})) == (
        "Encryption key already exists for id: a"
    )
    fewer = make.apply(new, {"action": "remove-encryption-key", "key-id": "a"})
    assert [item["key-id"] for item in fewer["encryption-keys"]] == ["b"]
    none = make.apply(fewer, {"action": "remove-encryption-key", "key-id": "b"})
    assert "encryption-keys" not in none
    assert make.apply(none, {"action": "remove-encryption-key", "key-id": "b"}) is none


@pytest.mark.parametrize("text", ["", "AAEC", "AAECAw==", "AAECAw", "AAE=", "AA+/"])
def test_the_metadata_of_a_key_is_base64(make: Any, text: str) -> None:
    meta = make.apply(make.table(3), key("a", **{"encrypted-key-metadata": text}))
    assert meta["encryption-keys"][0]["encrypted-key-metadata"] == text
    table.check_readable(meta)


@pytest.mark.parametrize("text", ["####", "A", "AA-_", "AAEC\n", " AAEC", "AAE=C", "AA="])
def test_the_metadata_of_a_key_must_be_base64(make: Any, text: str) -> None:
    message = refusal(make, make.table(3), key("a", **{"encrypted-key-metadata": text}))
    assert message.endswith(f"field encrypted-key-metadata: {text!r} is not base64")
    stored = {"key-id": "a", "encrypted-key-metadata": text}
    broken = make.table(3) | {"encryption-keys": [stored]}
    with pytest.raises(BadRequestError, match="is not base64"):
        table.check_readable(table.validate(broken))


def test_encryption_keys_wait_for_v3(make: Any) -> None:
    assert refusal(make, make.table(2), key("a")) == (
        "Encryption keys are not supported until v3: a"
    )


def test_the_metadata_log_names_each_former_file_and_is_trimmed(make: Any) -> None:
    meta = make.table(properties={"write.metadata.previous-versions-max": "2"})
    states = [meta]
    for number in range(4):
        update = {"action": "set-properties", "updates": {"n": str(number)}}
        meta = make.apply(
            meta, update, metadata_location=f"{number}.json", now_ms=make.created_ms + number + 1
        )
        states.append(meta)
    assert meta["metadata-log"] == [
        {"metadata-file": "2.json", "timestamp-ms": make.created_ms + 2},
        {"metadata-file": "3.json", "timestamp-ms": make.created_ms + 3},
    ]
    assert table.dropped_metadata_files(states[3], states[4]) == ["1.json"]
    assert table.dropped_metadata_files(states[1], states[2]) == []


def test_the_metadata_log_keeps_at_least_one_file(make: Any) -> None:
    meta = make.table(properties={"write.metadata.previous-versions-max": "-3"})
    for number in range(2):
        update = {"action": "set-properties", "updates": {"n": str(number)}}
        meta = make.apply(meta, update, metadata_location=f"{number}.json")
    assert [entry["metadata-file"] for entry in meta["metadata-log"]] == ["1.json"]


def test_a_log_length_that_is_no_number_is_refused(make: Any) -> None:
    update = {
        "action": "set-properties",
        "updates": {"write.metadata.previous-versions-max": "many"},
    }
    with pytest.raises(BadRequestError, match="previous-versions-max: 'many' is not an integer"):
        make.apply(make.table(), update, metadata_location="0.json")


def test_unknown_and_malformed_updates_are_refused_by_name(make: Any) -> None:
    base = make.table()
    assert refusal(make, base, {"action": "enable-row-lineage"}) == (
        "Unknown update action: 'enable-row-lineage'"
    )
    assert refusal(make, base, {}) == "Invalid update: missing field action"
    with pytest.raises(BadRequestError) as error:
        table.apply(base, [5], now_ms=1)  # type: ignore[list-item]
    assert error.value.message == "Invalid updates[0]: must be an object, got 5"
    with pytest.raises(BadRequestError) as error:
        table.apply(base, "x", now_ms=1)  # type: ignore[arg-type]
    assert error.value.message == "Invalid updates: must be an array, got 'x'"


FIELDS = {
    "assign-uuid": "uuid",
    "upgrade-format-version": "format-version",
    "add-schema": "schema",
    "set-current-schema": "schema-id",
    "remove-schemas": "schema-ids",
    "add-spec": "spec",
    "set-default-spec": "spec-id",
    "remove-partition-specs": "spec-ids",
    "add-sort-order": "sort-order",
    "set-default-sort-order": "sort-order-id",
    "add-snapshot": "snapshot",
    "remove-snapshots": "snapshot-ids",
    "set-snapshot-ref": "ref-name",
    "remove-snapshot-ref": "ref-name",
    "set-location": "location",
    "set-properties": "updates",
    "remove-properties": "removals",
    "set-statistics": "statistics",
    "remove-statistics": "snapshot-id",
    "set-partition-statistics": "partition-statistics",
    "remove-partition-statistics": "snapshot-id",
    "add-encryption-key": "encryption-key",
    "remove-encryption-key": "key-id",
}


@pytest.mark.parametrize("action", sorted(FIELDS))
@pytest.mark.parametrize("value", [None, 1.5, True])
def test_every_update_names_its_action_and_field(make: Any, action: str, value: Any) -> None:
    base, field = make.table(), FIELDS[action]
    assert refusal(make, base, {"action": action}) == (
        f"Invalid {action} update: missing field {field}"
    )
    text = refusal(make, base, {"action": action, field: value})
    assert text.startswith(f"Invalid {action} update, field {field}: must be ")


def test_all_23_updates_are_known() -> None:
    assert len(FIELDS) == 23
    assert set(FIELDS) == set(table.UPDATES)
