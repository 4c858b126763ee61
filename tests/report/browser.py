"""Headless Chromium, driven through its DevTools protocol over a pipe: nothing but the browser."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE = 60.0
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
# The protocol's pipes are the file descriptors 3 and 4, by definition.
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
# True once the page says that it has drawn its last chart.
DRAWN = "document.documentElement?.dataset.drawn"
# Names lead nowhere and what is asked by address goes to a port that nothing listens on.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",
    "--remote-debugging-pipe",
)


class Page:
    """A page of the browser, and all that it said and asked for."""

    def __init__(self, send: Callable[..., dict[str, Any]], session: str) -> None:
        self._send = send
        self.session = session
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._send(method, parameters, self)

    def emulate(self, width: int, *, dark: bool = False, height: int = 900) -> None:
        """Be a screen of so many CSS pixels: a phone's when it is narrow."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = "dark" if dark else "light"
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def open(self, path: Path) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.resolve().as_uri())

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            found = self.evaluate(expression)
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError(
            f"{expression} was not true within {DEADLINE:.0f} s: {self.complaints()}"
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        options: dict[str, Any] = {"captureBeyondViewport": True} if whole else {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {**size, "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", **options)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Give what went to the console as an error or warning, and what was thrown."""
        found = []
        for event in self.events:
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"])[:500])
            elif event["method"] == "Log.entryAdded":
                found.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] != "log":
                found.append(json.dumps(parameters["args"])[:500])
        return found

    def requests(self) -> list[str]:
        """Give every URL that was asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium() -> Iterator[Callable[[], Page]]:
    """Start a browser; gives what opens a page in it."""
    assert PROGRAM is not None
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                LAUNCH,
                f"{to_browser}",
                f"{to_us}",
                PROGRAM,
                *OPTIONS,
                f"--user-data-dir={profile}",
            ],
            pass_fds=(to_browser, to_us),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(to_us)
        try:
            with (
                os.fdopen(from_us, "wb", buffering=0) as out,
                os.fdopen(from_browser, "rb") as answers,
            ):
                yield _pages(out, answers)
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _pages(out: Any, answers: Any) -> Callable[[], Page]:
    pages: dict[str, Page] = {}
    numbers = iter(range(1, 1 << 30))
    rest = bytearray()

    def receive() -> dict[str, Any]:
        while (end := rest.find(b"\0")) < 0:
            more = os.read(answers.fileno(), 1 << 16)
            assert more, "the browser went away"
            rest.extend(more)
        message = json.loads(rest[:end])
        del rest[: end + 1]
        return message

    def send(method: str, parameters: dict[str, Any], page: Page | None = None) -> dict[str, Any]:
        number = next(numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if page is not None:
            message["sessionId"] = page.session
        out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = receive()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer and answer.get("sessionId") in pages:
                pages[answer["sessionId"]].events.append(answer)

    def new() -> Page:
        target = send("Target.createTarget", {"url": "about:blank"})["targetId"]
        answer = send("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(send, answer["sessionId"])
        pages[page.session] = page
        return page

    return new
