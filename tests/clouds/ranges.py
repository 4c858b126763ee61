"""What the emulators answer to a request for a part of an object."""

import re


def part(content: bytes, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
    """Return the status, the body and the headers for a ``Range``; 416 beyond the end."""
    span = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
    if span is None:
        return 200, content, {}
    size = len(content)
    first = int(span[1]) if span[1] else max(0, size - int(span[2]))
    last = min(int(span[2]), size - 1) if span[1] and span[2] else size - 1
    if first >= size:
        return 416, b"", {}
    return 206, content[first : last + 1], {"Content_Range": f"bytes {first}-{last}/{size}"}
