"""Branches and tags: a name for a state that stays, and a place to try things out."""

from common import arguments, namespace, show, weather


def main() -> None:
    """Tag a month's end, try something on a branch, drop the branch."""
    with namespace(arguments(__doc__), "example_branches") as catalog:
        rows = weather(1, 20.5, 21.0)
        table = catalog.create_table("example_branches.weather", rows.schema)
        table.append(rows)
        june = table.snapshots()[-1].snapshot_id
        year_ms = 365 * 24 * 60 * 60 * 1000
        table.manage_snapshots().create_tag(june, "end-of-june", max_ref_age_ms=year_ms).commit()
        table.append(weather(2, 19.0, 18.5))

        head = table.snapshots()[-1].snapshot_id
        table.manage_snapshots().create_branch(head, "experiment").commit()
        table.append(weather(3, 0.0, 0.0), branch="experiment")

        show("main", table)
        show("tag end-of-june", table, snapshot_id=table.refs()["end-of-june"].snapshot_id)
        show("branch experiment", table, snapshot_id=table.refs()["experiment"].snapshot_id)

        table.manage_snapshots().remove_branch("experiment").commit()
        print("refs:", ", ".join(sorted(table.refs())))


if __name__ == "__main__":
    main()
