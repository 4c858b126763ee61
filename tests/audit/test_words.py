"""What a change was, in words."""

import pytest

from falcon_catalog.catalog.event_log import in_words


@pytest.mark.parametrize(
    ("words", "entry"),
    [
        ("created", {"operation": "createTable"}),
        ("created", {"operation": "updateTable", "detail": {"updates": ["assign-uuid"]}}),
        (
            "created and appended rows",
            {
                "operation": "commitTransaction",
                "detail": {"updates": ["add-snapshot"], "operations": ["append"]},
            },
        ),
        (
            "deleted rows, changed properties",
            {
                "operation": "updateTable",
                "before": "file:///1",
                "detail": {
                    "updates": ["add-snapshot", "set-snapshot-ref", "set-properties"],
                    "operations": ["delete"],
                },
            },
        ),
        (
            "added a snapshot",
            {
                "operation": "updateTable",
                "before": "file:///1",
                "detail": {"updates": ["add-snapshot", "set-snapshot-ref"]},
            },
        ),
        (
            "moved a branch or tag",
            {
                "operation": "updateTable",
                "before": "file:///1",
                "detail": {"updates": ["set-snapshot-ref"]},
            },
        ),
        (
            "changed the schema",
            {
                "operation": "updateTable",
                "before": "file:///1",
                "detail": {"updates": ["add-schema", "set-current-schema"]},
            },
        ),
        ("updateTable", {"operation": "updateTable", "before": "file:///1"}),
        ("undropped", {"operation": "undrop", "after": "file:///1"}),
        ("rotateSecret", {"operation": "rotateSecret"}),
    ],
)
def test_words(words: str, entry: dict[str, object]) -> None:
    assert in_words(entry) == words
