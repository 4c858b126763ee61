"""Whether what clients saw of each other can have happened one after the other."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

State = TypeVar("State", bound=Hashable)
UNKNOWN = math.inf


@dataclass(frozen=True)
class Op:
    """Something that a client asked, and what it was told."""

    what: Hashable
    told: Hashable
    began: float
    ended: float
    """UNKNOWN when no answer came: it may have happened at any time since, or never."""


def linearizable(
    history: Sequence[Op],
    state: State,
    apply: Callable[[State, Op], tuple[State, ...]],
    most: int = 2_000_000,
) -> bool:
    """Tell whether there is an order of all operations that explains every answer.

    The algorithm of Wing and Gong, with Lowe's memory of what was tried.

    Args:
        history: the operations.
        state: what there was at the beginning.
        apply: returns the states that an operation may lead to; none if its answer is wrong.
        most: how many situations to look at before giving up with an OverflowError.
    """
    ops = sorted(history, key=lambda op: op.began)
    needed = sum(1 << n for n, op in enumerate(ops) if op.ended != UNKNOWN)
    seen: set[tuple[int, State]] = {(0, state)}
    waiting = [(0, state)]
    while waiting:
        done, now = waiting.pop()
        if done & needed == needed:
            return True
        for number in _possible(ops, done):
            for then in apply(now, ops[number]):
                situation = (done | 1 << number, then)
                if situation not in seen:
                    seen.add(situation)
                    waiting.append(situation)
        if len(seen) > most:
            raise OverflowError(f"more than {most} situations")
    return False


def _possible(ops: Sequence[Op], done: int) -> Iterable[int]:
    """Yield which operations may come next: those that began before any other one had ended."""
    first_end = UNKNOWN
    number = (~done & (done + 1)).bit_length() - 1  # the first one that is not done
    found = []
    while number < len(ops) and ops[number].began <= first_end:
        if not done >> number & 1:
            found.append(number)
            first_end = min(first_end, ops[number].ended)
        number += 1
    return [number for number in found if ops[number].began <= first_end]


@dataclass(frozen=True)
class Write:
    """A commit that a client asked for."""

    op: str
    tables: tuple[str, ...]
    outcome: str
    """done, refused or unknown."""
    began: float
    ended: float
    location: str = ""
    """Where it was told that the new metadata lies; empty when it was not told."""
    expected: str = ""
    """The operation on top of which it was to be, and nowhere else; empty for any place."""


@dataclass(frozen=True)
class Read:
    """A load of a table that was answered."""

    table: str
    location: str
    began: float
    ended: float


Chains = Mapping[str, Sequence[tuple[str, str]]]
"""Of each table, every version's metadata location and operation, in order."""


def broken_chains(chains: Chains, writes: Sequence[Write], reads: Sequence[Read]) -> list[str]:
    """Return what cannot be: a commit lost, doubled, made by halves or seen too late."""
    found = _miscounted(chains, writes)
    found += _misplaced(chains, writes)
    for table, chain in chains.items():
        place = {location: number for number, (location, _) in enumerate(chain)}
        numbers = {op: number for number, (_, op) in enumerate(chain)}
        times = [
            (write.began, write.ended if write.outcome == "done" else UNKNOWN, numbers[write.op])
            for write in writes
            if table in write.tables and write.op in numbers
        ]
        for read in reads:
            if read.table == table and read.location not in place:
                found.append(f"{table}: {read.location} was read and is in no version")
            elif read.table == table:
                times.append((read.began, read.ended, place[read.location]))
        found += [f"{table}: {said}" for said in _backwards(times)]
    return found


def _miscounted(chains: Chains, writes: Sequence[Write]) -> list[str]:
    found = []
    counted = {table: Counter(op for _, op in chain) for table, chain in chains.items()}
    places = {table: set(chain) for table, chain in chains.items()}
    for write in writes:
        counts = [counted[table][write.op] for table in write.tables]
        least, most = {"done": (1, 1), "refused": (0, 0)}.get(write.outcome, (0, 1))
        if not all(least <= count <= most for count in counts):
            found.append(f"{write.outcome}, but there {counts} times: {write}")
        elif len(set(counts)) > 1:
            found.append(f"there by halves: {write}")
        if write.location and (write.location, write.op) not in places[write.tables[0]]:
            found.append(f"not where it was told to be: {write}")
    return found


def _misplaced(chains: Chains, writes: Sequence[Write]) -> list[str]:
    """Return the compare-and-swaps that came on top of another commit than they were to."""
    by_op = {write.op: write for write in writes if write.expected}
    found = []
    for table, chain in chains.items():
        top = "none"
        for _, op in chain:
            if write := by_op.get(op):
                if write.expected != top:
                    found.append(f"{table}: on top of {top}: {write}")
                top = op
    return found


def _backwards(times: Sequence[tuple[float, float, int]]) -> list[str]:
    """Return where something that began after another had ended came before it."""
    found, ended, newest = [], [], -1
    for began, end, number in sorted(times):
        while ended and ended[0][0] < began:
            newest = max(newest, heapq.heappop(ended)[1])
        if number < newest:
            found.append(f"version {number} at {began}, after version {newest} was known")
        if end != UNKNOWN:
            heapq.heappush(ended, (end, number))
    return found
