"""All that can be measured, in order."""

from collections.abc import Callable

from benchmarks import (
    apache,
    commits,
    lists,
    loads,
    mechanisms,
    on_postgres,
    on_s3,
    pages,
    permissions,
    pipeline,
    rustberg,
    scans,
    signing,
    starts,
    statements,
    vending,
    writers,
)
from benchmarks.bench import Bench
from benchmarks.rounds import Line

GOALS: dict[str, Callable[[Bench], list[Line]]] = {
    "1": loads.against_the_floor,
    "2": loads.against_naive,
    "3": loads.along_the_history,
    "4": loads.unchanged,
    "5": commits.against_naive,
    "6": commits.along_the_history,
    "7": commits.durability,
    "8": writers.fairness,
    "9": writers.group_commit,
    "10": statements.goal,
    "11": loads.over_processes,
    "12": lists.goal,
    "13": pipeline.goal,
    "14": apache.goal,
    "17": rustberg.goal,
    "writers": writers.growth,
    "scans": scans.measure,
    "postgres": on_postgres.goal,
    "s3": on_s3.goal,
    "signing": signing.goal,
    "vending": vending.goal,
    "permissions": permissions.goal,
    "pages": pages.goal,
    "start": starts.start,
    "memory": starts.memory,
    "mechanisms": mechanisms.measure,
}
