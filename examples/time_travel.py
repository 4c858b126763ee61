"""Time travel: every commit stays readable, by id or by time, and can be gone back to."""

from common import arguments, namespace, show, weather


def main() -> None:
    """Correct a value, look at what was known before, and take the correction back."""
    with namespace(arguments(__doc__), "example_time") as catalog:
        rows = weather(1, 20.5, 99.9)
        table = catalog.create_table("example_time.weather", rows.schema)
        table.append(rows)
        before = table.snapshots()[-1]
        table.overwrite(weather(1, 20.5, 21.0), snapshot_properties={"why": "broken sensor"})
        show("now", table)
        show("as it was, by snapshot", table, snapshot_id=before.snapshot_id)

        then = table.snapshot_as_of_timestamp(before.timestamp_ms)
        print("as of its time it is the same:", then == before)

        print("history:")
        for snapshot in table.snapshots():
            summary = snapshot.summary
            why = summary.additional_properties.get("why", "-") if summary else "-"
            print("  ", summary.operation.value if summary else "?", "why:", why)

        table.manage_snapshots().rollback_to_snapshot(before.snapshot_id).commit()
        show("rolled back", table)


if __name__ == "__main__":
    main()
