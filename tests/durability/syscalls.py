"""What strace wrote down of a process, as events in the order in which they happened.

A change of a file counts from when its call returned, a sync covers what had returned when it was
called, and an answer is given as soon as its first byte is handed to the kernel: each the least
favourable reading for the server.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRACED = (
    "openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,"
    "write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync,sync_file_range,"
    "sendto,sendmsg"
)
_LINE = re.compile(r"^(\d+) +(.*)$", re.DOTALL)
_CALL = re.compile(r"^(\w+)\((.*)$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_RESULT = re.compile(r"^(.*)\) += (-?\d+)(.*)$", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PLACE = re.compile(r"(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_MARK = re.compile(rb"\r\nX-Request-Id: ([^\r]+)\r\n", re.IGNORECASE)
_ENTRIES = {
    "openat": "make",
    "mkdir": "makedir",
    "mkdirat": "makedir",
    "unlink": "remove",
    "unlinkat": "remove",
    "rmdir": "remove",
}


@dataclass(frozen=True)
class Event:
    """One thing that happened: ``what`` is write, truncate, make, makedir, move, link, remove,
    syncing, synced or answer."""

    what: str
    path: str = ""
    offset: int | None = None
    """Where a write begins; None: where the last one ended. The size after truncate."""
    data: bytes = b""
    to: str = ""
    call: int = 0
    """Ties a syncing to its synced."""


def tracing(log: Path) -> list[str]:
    """Return the command before which a command is written down in ``log``."""
    told = ["-y", "-xx", "-s", "16777216", "-e", "signal=SIGKILL", "-e", f"trace={TRACED}"]
    # -DD: the traced process stays the child of who starts it; what kills its group spares strace.
    return ["strace", "-f", "-DD", "--seccomp-bpf", *told, "-o", str(log), "--"]


def has_ended(log: Path, pid: int) -> bool:
    """Tell whether the end of a process and of all that it started is written down."""
    text = log.read_text()
    ended = set(re.findall(r"^(\d+) +\+\+\+ ", text, re.MULTILINE))
    return str(pid) in ended and ended == set(re.findall(r"^(\d+) ", text, re.MULTILINE))


def events(log: Path) -> Iterator[Event]:
    """Read what was written down."""
    begun: dict[str, tuple[int, str]] = {}
    with log.open(encoding="ascii") as lines:
        for number, line in enumerate(lines):
            match = _LINE.match(line.rstrip("\n"))
            assert match, line[:200]
            thread, rest = match.groups()
            if rest.startswith(("+++", "---")):
                continue
            if resumed := _RESUMED.match(rest):
                name = resumed[1]
                if thread not in begun:
                    continue
                call, before = begun.pop(thread)
                yield from _after(name, before + resumed[2], call)
                continue
            called = _CALL.match(rest)
            assert called, rest[:200]
            name, arguments = called.groups()
            yield from _before(name, arguments, number)
            if arguments.endswith(_UNFINISHED):
                begun[thread] = (number, arguments.removesuffix(_UNFINISHED))
            else:
                yield from _after(name, arguments, number)


def _before(name: str, arguments: str, call: int) -> Iterator[Event]:
    if name in ("fsync", "fdatasync"):
        yield Event("syncing", _place(arguments), call=call)
    elif name in ("sendto", "sendmsg"):
        data = b"".join(_texts(arguments))
        status = data.split(b" ", 2)[1:2]
        if data.startswith(b"HTTP/1.1 ") and (mark := _MARK.search(data)):
            yield Event("answer", data=status[0], to=mark[1].decode())


def _after(name: str, arguments: str, call: int) -> Iterator[Event]:
    match = _RESULT.match(arguments)
    if match is None or int(match[2]) < 0:
        return  # it failed, or its process was gone before it returned
    told, result = match[1], int(match[2])
    texts = _texts(told)
    match name:
        case "fsync" | "fdatasync":
            yield Event("synced", _place(told), call=call)
        case "write" | "writev":
            yield Event("write", _place(told), None, b"".join(texts)[:result])
        case "pwrite64":
            yield Event("write", _place(told), _last_number(told), texts[0][:result])
        case "ftruncate":
            yield Event("truncate", _place(told), _last_number(told))
        case "rename" | "link":
            what = "link" if name == "link" else "move"
            yield Event(what, _path(told, texts[0]), to=_path(told, texts[1]))
        case _ if name in _ENTRIES:
            if name != "openat" or "O_CREAT" in told:
                yield Event(_ENTRIES[name], _path(told, texts[0]))
        case _ if name not in ("sendto", "sendmsg"):
            raise AssertionError(f"a call that nobody thought of: {name}({told[:100]}")


def _last_number(arguments: str) -> int:
    return int(arguments.rpartition(", ")[2])


def _texts(arguments: str) -> list[bytes]:
    return [_bytes(text) for text in _TEXT.findall(arguments)]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _place(arguments: str) -> str:
    """Return the path of the descriptor that a call is about."""
    match = _PLACE.match(arguments)
    return _bytes(match[2]).decode(errors="replace") if match else ""


def _path(arguments: str, text: bytes) -> str:
    path = text.decode(errors="replace")
    return path if path.startswith("/") else f"{_place(arguments)}/{path}"
