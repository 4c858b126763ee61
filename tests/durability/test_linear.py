"""The checkers find what they are for, and nothing else."""

import random
from dataclasses import replace

import pytest

from tests.durability.linear import (
    UNKNOWN,
    Op,
    Read,
    Write,
    broken_chains,
    linearizable,
)


def register(state: str, op: Op) -> tuple[str, ...]:
    """Apply an operation to one value: write it, swap it for another, or read it."""
    what, *values = op.what
    if what == "write":
        return (values[0],)
    if what == "swap" and op.told != "refused":
        return (values[1],) if state == values[0] else ()
    if what == "swap":
        return (state,) if state != values[0] else ()
    return (state,) if op.told == state else ()


def history_of(seed: int, clients: int = 8, count: int = 500) -> list[Op]:
    """Let clients use a value one after the other, each operation at some moment of its time."""
    chance = random.Random(seed)
    value, free, moment, history = "0", [0.0] * clients, 0.0, []
    for number in range(count):
        client = min(range(clients), key=lambda one: free[one])
        moment = max(moment, free[client]) + chance.random()
        began = max(free[client], moment - chance.random() * clients)
        free[client] = ended = moment + chance.random() * clients
        if chance.random() < 0.4:
            history.append(Op(("read",), value, began, ended))
            continue
        old = value if chance.random() < 0.7 else "never there"
        told = "done" if old == value else "refused"
        value = str(number) if told == "done" else value
        history.append(Op(("swap", old, str(number)), told, began, ended))
    return history


@pytest.mark.parametrize("seed", range(5))
def test_what_happened_one_after_the_other_is_accepted(seed: int) -> None:
    assert linearizable(history_of(seed), "0", register)


@pytest.mark.parametrize("seed", range(5))
def test_a_stale_read_is_found(seed: int) -> None:
    history = history_of(seed)
    reads = [n for n, op in enumerate(history) if op.what == ("read",) and n > len(history) / 2]
    late = random.Random(seed).choice(reads)
    history[late] = replace(history[late], told="0")
    assert not linearizable(history, "0", register)


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_update_is_found(seed: int) -> None:
    """Two swaps of one value are both told that they were done."""
    history = history_of(seed)
    refused = [n for n, op in enumerate(history) if op.told == "refused" and n > 20]
    chosen = random.Random(seed).choice(refused)
    done = next(op for op in reversed(history[:chosen]) if op.told == "done")
    history[chosen] = replace(history[chosen], what=("swap", done.what[1], "both"), told="done")
    assert not linearizable(history, "0", register)


@pytest.mark.parametrize(
    ("value", "possible"), [("0", True), ("1", True), ("2", False)], ids=["not yet", "done", "no"]
)
def test_what_was_not_answered_may_have_happened(value: str, possible: bool) -> None:
    history = [Op(("write", "1"), None, 0, UNKNOWN), Op(("read",), value, 5, 6)]
    assert linearizable(history, "0", register) is possible


def test_what_was_not_answered_happens_once() -> None:
    history = [Op(("write", "1"), None, 0, UNKNOWN), Op(("read",), "1", 1, 2)]
    history += [Op(("write", "2"), "done", 3, 4), Op(("read",), "2", 5, 6)]
    assert linearizable(history, "0", register)
    assert not linearizable([*history, Op(("read",), "1", 7, 8)], "0", register)


def test_a_search_that_gets_too_long_says_so() -> None:
    history = [Op(("write", str(n)), "done", 0, 100) for n in range(20)]
    with pytest.raises(OverflowError):
        linearizable([*history, Op(("read",), "none", 0, 100)], "0", register, most=1000)


CHAIN = {"t": [("m0", "start"), ("m1", "a"), ("m2", "b"), ("m3", "c")], "u": [("n0", "start")]}
WRITES = [
    Write("a", ("t",), "done", 1, 2, "m1", expected="none"),
    Write("b", ("t",), "unknown", 3, 4),
    Write("c", ("t",), "done", 5, 6, "m3", expected="a"),
    Write("d", ("t", "u"), "refused", 7, 8),
]


def test_a_chain_that_explains_all_is_accepted() -> None:
    assert not broken_chains(CHAIN, WRITES, [Read("t", "m1", 2.5, 3.5), Read("t", "m3", 6, 7)])


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (Write("lost", ("t",), "done", 1, 2), "done, but there [0] times"),
        (Write("c", ("t",), "refused", 5, 6), "refused, but there [1] times"),
        (Write("b", ("t", "u"), "unknown", 3, 4), "there by halves"),
        (Write("b", ("t",), "done", 3, 4, "elsewhere"), "not where it was told to be"),
        (Write("c", ("t",), "done", 5, 6, expected="start"), "on top of none"),
        (Write("b", ("t",), "done", 0, 0.5), "after version 2 was known"),
    ],
)
def test_a_wrong_write_is_found(write: Write, said: str) -> None:
    others = [one for one in WRITES if one.op != write.op and not write.expected]
    assert said in " ".join(broken_chains(CHAIN, [*others, write], []))


def test_a_doubled_commit_is_found() -> None:
    doubled = {**CHAIN, "t": [*CHAIN["t"], ("m4", "b")]}
    assert "unknown, but there [2] times" in " ".join(broken_chains(doubled, WRITES, []))


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (Read("t", "m1", 6.5, 7), "version 1 at 6.5, after version 3 was known"),
        (Read("t", "m9", 6.5, 7), "is in no version"),
        (Read("t", "m3", 1, 2), "after version 3 was known"),
    ],
    ids=["stale", "foreign", "early"],
)
def test_a_wrong_read_is_found(read: Read, said: str) -> None:
    assert said in " ".join(broken_chains(CHAIN, WRITES, [read]))


def test_a_hundred_thousand_commits_are_checked_at_once() -> None:
    chain = {"t": [(f"m{n}", f"op{n}") for n in range(100_000)]}
    writes = [Write(f"op{n}", ("t",), "done", n, n + 1.5, f"m{n}") for n in range(100_000)]
    assert not broken_chains(chain, writes, [])
