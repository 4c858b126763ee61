"""Whether a host can be reached at all, within seconds."""

import socket
import threading
import time


def why_unreachable(host: str, port: int, seconds: float) -> str | None:
    """Return why no connection can be made, or None if one can.

    The system's resolver has a timeout of its own, which is longer: it is left behind in a thread.
    """
    reasons: list[str | None] = []

    def attempt() -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection((host, port), timeout=seconds).close()
            except OSError as error:
                reason = str(error.strerror or error)
            else:
                reasons.append(None)
                return
            # A server that is being started again is back within a second or two.
            if time.monotonic() + 1 > deadline:
                reasons.append(reason)
                return
            time.sleep(0.5)

    thread = threading.Thread(target=attempt, name="reach", daemon=True)
    thread.start()
    thread.join(seconds)
    return reasons[0] if reasons else f"no answer within {seconds:g} s"
