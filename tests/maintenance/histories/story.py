"""Histories of a table, each made of one seed: what happens, as plain data."""

import random
from dataclasses import dataclass
from typing import Any

from tests.maintenance.histories import exclusions
from tests.maintenance.histories.values import POOLS, WIDER, Filter, filters, transforms

LAYOUTS = ("alone", "nested", "inside", "around", "twin", "linked", "behind", "lent", "borrowed")
"""Where another table is.

nested: in a namespace that is called like the table, within its folder; inside: of another
namespace, below the table's data; around: the table is within the other's folder; twin: the same
table under a second name; linked: within the table's folder, by way of a link to it; behind: the
table's own location goes through a link, the other lies in what it leads to; lent: the other
has some of the table's files; borrowed: the table has some of the other's files.
"""

Step = tuple[Any, ...]
Row = dict[str, Any]
NESTED = "place"
"""The key of the column that is a field of a struct; Arrow makes no UUIDs there."""


@dataclass(frozen=True)
class Story:
    """What a table is at first, and what happens to it then."""

    seed: int
    version: int
    layout: str
    columns: dict[str, str]
    """Type by key; a column keeps its key whatever it is renamed to."""
    spec: list[tuple[str, str]]
    """Key of the source, and transform, of each partition field."""
    properties: dict[str, str]
    steps: list[Step]

    def told(self) -> str:
        """Spell the history, a step a line."""
        lines = [
            f"history {self.seed}: version {self.version}, {self.layout}, {self.properties}",
            f"  columns {self.columns}",
            f"  partitioned by {self.spec}",
        ]
        return "\n".join(
            [*lines, *(f"  {number}: {step}" for number, step in enumerate(self.steps))]
        )


def tell(seed: int) -> Story:
    """Make the history of a seed, always the same."""
    return _Teller(seed).story()


class _Teller:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)  # noqa: S311 - to be repeated
        self.ids = 0
        self.added = 0
        self.kinds: dict[str, str] = {}
        self.spec: list[tuple[str, str]] = []
        self.sources: set[str] = set()
        self.names: set[str | None] = set()
        self.refs = ["main"]

    def story(self) -> Story:
        dice = self.dice
        version = dice.choices([1, 2, 3], [25, 65, 10])[0]
        layout = dice.choice(["alone", *LAYOUTS])
        kinds = list(POOLS)
        for number in range(dice.randint(2, 5)):
            self.kinds[f"c{number}"] = dice.choice(kinds)
        if dice.random() < 0.25:
            self.kinds[NESTED] = dice.choice([kind for kind in kinds if kind != "uuid"])
        for _ in range(dice.choices([0, 1, 2, 3], [15, 25, 40, 20])[0]):
            self._partition()
        columns, spec = dict(self.kinds), list(self.spec)
        properties = {"format-version": str(version)}
        if dice.random() < 0.5:
            properties["write.metadata.previous-versions-max"] = str(dice.randint(1, 3))
        steps = [self._append("main")]
        steps += [self._step() for _ in range(dice.randint(5, 14))]
        if layout in ("twin", "lent", "borrowed"):
            steps.insert(dice.randint(1, len(steps)), ("share",))
        steps += [("compact", self._plan(), "main"), ("expire", 1), ("orphans",)]
        return Story(self.seed, version, layout, columns, spec, properties, steps)

    def _step(self) -> Step:  # noqa: PLR0911 - a table
        dice = self.dice
        kind = dice.choices(
            [
                "write",
                "delete",
                "overwrite",
                "evolve",
                "partition",
                "refs",
                "share",
                "maintain",
                "kill",
            ],
            [30, 16, 6, 8, 9, 4, 3, 17, 7],
        )[0]
        match kind:
            case "write":
                return self._append(dice.choice(self.refs))
            case "delete":
                engine = dice.choice(["pyiceberg", "duckdb", "duckdb"])
                return ("delete", engine, self._where())
            case "overwrite":
                return (
                    "overwrite",
                    dice.choice(["pyiceberg", "pipeline"]),
                    self._where(),
                    self._rows(3),
                )
            case "evolve":
                return self._evolve()
            case "partition":
                return self._respec()
            case "refs":
                name = f"r{len(self.refs)}"
                if dice.random() < 0.5:
                    return ("tag", f"tag-{self.ids}")
                self.refs.append(name)
                return ("branch", name)
            case "share":
                return ("share",)
            case "maintain":
                return self._maintenance()
            case _:
                return ("kill", self._maintenance(), dice.randint(1, 40))

    def _maintenance(self) -> Step:
        dice = self.dice
        kind = dice.choices(
            ["compact", "manifests", "expire", "orphans", "metadata"], [45, 10, 20, 17, 8]
        )[0]
        if kind == "compact":
            return ("compact", self._plan(), dice.choice(self.refs))
        return (kind, dice.randint(1, 3)) if kind == "expire" else (kind,)

    def _plan(self) -> dict[str, Any]:
        dice = self.dice
        plan: dict[str, Any] = {
            "rewrite_all": dice.random() < 0.5,
            "min_input_files": dice.randint(1, 3),
            "memory_bytes": dice.choice([1 << 10, 1 << 13, 1 << 29]),
            "groups_per_commit": dice.choice([1, 2, 100]),
            "delete_files": dice.choice([1, 2]),
            "target_bytes": dice.choice([None, None, 3000, 20_000]),
        }
        if dice.random() < 0.3:
            keys = ["id", *(key for key in self.kinds if key != NESTED)]
            plan["sort"] = (dice.choice(keys), dice.choice(["asc", "desc nulls last"]))
        return plan

    def _append(self, ref: str) -> Step:
        writer = self.dice.choice(["pyiceberg", "duckdb", "pipeline", "pipeline"])
        return ("append", writer, self._rows(self.dice.choice([1, 4, 12, 25])), ref)

    def _rows(self, count: int) -> list[Row]:
        return [self._row() for _ in range(count)]

    def _row(self) -> Row:
        self.ids += 1
        values = {key: self._value(kind) for key, kind in self.kinds.items()}
        return {"id": self.ids, **values}

    def _value(self, kind: str) -> Any:
        pool = POOLS.get(kind) or POOLS["decimal(9, 2)"]
        return None if self.dice.random() < 0.2 else self.dice.choice(pool)

    def _where(self) -> tuple[Any, ...]:
        """Choose what to delete: some ids, or what a filter on a column finds."""
        if self.sources and self.dice.random() < 0.4:
            key = self.dice.choice(sorted(self.sources))
            one: Filter = self.dice.choice(filters(self.kinds[key]))
            return ("filter", key, one)
        modulus = self.dice.choice([2, 3, 5, 9])
        return ("ids", modulus, self.dice.randrange(modulus))

    def _evolve(self) -> Step:
        dice = self.dice
        plain = [key for key in self.kinds if key != NESTED]
        match dice.choice(["add", "rename", "widen", "drop", "sort"]):
            case "add":
                self.added += 1
                key = f"a{self.added}"
                self.kinds[key] = dice.choice(list(POOLS))
                return ("add", key, self.kinds[key])
            case "widen":
                can = [key for key in plain if self.kinds[key] in WIDER]
                if can:
                    key = dice.choice(can)
                    self.kinds[key] = WIDER[self.kinds[key]]
                    return ("widen", key, self.kinds[key])
            case "drop":
                can = [key for key in plain if key not in self.sources]
                if can:
                    key = dice.choice(can)
                    del self.kinds[key]
                    return ("drop", key)
            case "sort":
                return ("sort", dice.choice(plain or ["id"]), dice.choice(["asc", "desc"]))
        self.added += 1
        return ("rename", dice.choice(plain or ["id"]), f"n{self.added} x-é")

    def _respec(self) -> Step:
        if self.spec and (len(self.spec) >= 3 or self.dice.random() < 0.5):
            key, transform = self.spec.pop(self.dice.randrange(len(self.spec)))
            return ("unpartition", key, transform)
        found = self._partition()
        return ("partition", *found) if found else self._append("main")

    def _partition(self) -> tuple[str, str] | None:
        """Choose a field that the spec does not have; of a source's fields at most one."""
        for _ in range(20):
            key = self.dice.choice([*self.kinds, "id"])
            kind = self.kinds.get(key, "long")
            transform = self.dice.choice(transforms(kind))
            if any(source == key for source, _ in self.spec):
                continue
            name = None if transform.startswith("bucket") else exclusions.named_in_manifests(kind)
            if name in self.names:
                continue
            self.names |= {name} - {None}
            self.spec.append((key, transform))
            self.sources.add(key) if key != "id" else None
            return key, transform
        return None
