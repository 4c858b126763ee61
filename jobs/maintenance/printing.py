"""Results for people."""

from collections.abc import Sequence

from tabulate import tabulate

from jobs.maintenance.results import Result, Size

_THOUSAND = 1024


def as_table(results: Sequence[Result]) -> str:
    """Write a line per table and kind of file, then what was left as it was, and why."""
    lines = [
        [
            result.table,
            result.operation,
            kind,
            *_shown(result.before.get(kind)),
            *_shown(result.after.get(kind)),
            *_shown(result.deleted.get(kind)),
        ]
        for result in results
        for kind in {**result.before, **result.deleted}
    ]
    deleted = "would delete" if any(result.dry_run for result in results) else "deleted"
    headers = ["table", "operation", "what", "before", "", "after", "", deleted, ""]
    table = tabulate(
        lines,
        headers,
        colalign=["left"] * 3 + ["right"] * 6 if lines else (),
        disable_numparse=True,
    )
    words = [f"{result.table}: {note}" for result in results for note in result.notes]
    words += [f"{result.table}: {wrong}" for result in results for wrong in result.found]
    words += [
        f"{result.table}: left {skip.what}: {skip.why}"
        for result in results
        for skip in result.skipped
    ]
    return "\n".join([table, *words])


def spell_bytes(count: float) -> str:
    """Write a number of bytes in the unit that suits it."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < _THOUSAND:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _THOUSAND
    return f"{count:.1f} TB"


def _shown(size: Size | None) -> tuple[str, str]:
    if size is None:
        return "", ""
    return str(size.files), spell_bytes(size.bytes) if size.bytes else ""
