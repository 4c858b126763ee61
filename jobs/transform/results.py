"""The results of a dbt build: models, tests and source freshness."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

Result = dict[str, Any]

_BAD = frozenset(["error", "fail", "runtime error"])


def read(state: Path) -> list[Result]:
    """Return the results of the last build; none if it ended before there were any."""
    path = results_path(state)
    results: list[Result] = json.loads(path.read_text())["results"] if path.exists() else []
    return results


def results_path(state: Path) -> Path:
    """Return where dbt writes the results of a build."""
    return state / "dbt" / "target" / "run_results.json"


def failures(results: list[Result]) -> list[str]:
    """Return the models and tests that failed, each with the reason in a line."""
    return [
        f"{result['unique_id']}: {' '.join(str(result['message']).split())}"
        for result in results
        if result["status"] in _BAD
    ]


def models(results: list[Result]) -> dict[str, dict[str, Any]]:
    """Return the result of every model and snapshot."""
    return {
        name(result): {
            "status": result["status"],
            "message": result["message"],
            "rows_changed": rows_changed(result),
            "seconds": round(result["execution_time"], 3),
        }
        for result in results
        if is_model(result)
    }


def tests(results: list[Result]) -> dict[str, int]:
    """Return the number of tests by outcome."""
    found = Counter(result["status"] for result in results if is_test(result))
    counts = {status: found[status] for status in ("pass", "warn", "skipped")}
    failed = sum(found[status] for status in _BAD)
    return {**counts, "fail": failed} if failed else counts


def warnings(results: list[Result]) -> list[str]:
    """Return the tests that warned."""
    return [
        f"{name(result)}: {result['message']}"
        for result in results
        if is_test(result) and result["status"] == "warn"
    ]


def rows_changed(result: Result) -> int:
    """Return the number of rows that a model added to and removed from its table."""
    return int((result.get("adapter_response") or {}).get("rows_affected") or 0)


def is_model(result: Result) -> bool:
    """Return whether a result is of a model or snapshot, not of a test."""
    return bool(result["unique_id"].startswith(("model.", "snapshot.")))


def is_test(result: Result) -> bool:
    """Return whether a result is of a test, not of a model or an exposure."""
    return bool(result["unique_id"].startswith(("test.", "unit_test.")))


def name(result: Result) -> str:
    """Return the short name of what a result is of."""
    parts = result["unique_id"].split(".")
    return str(parts[2] if len(parts) > 2 else parts[-1])  # noqa: PLR2004 - type.project.name.hash


def freshness(state: Path) -> list[dict[str, Any]]:
    """Return the freshness of the sources that have a freshness test."""
    path = state / "dbt" / "target" / "sources.json"
    if not path.exists():
        return []
    return [
        {
            "source": ".".join(result["unique_id"].split(".")[2:]),
            "status": result["status"],
            "newest": result.get("max_loaded_at"),
        }
        for result in json.loads(path.read_text())["results"]
    ]
