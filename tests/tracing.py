"""How strace is made to let go of the processes that it holds."""

import contextlib
import signal
import subprocess


def release(strace: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End strace, and let the processes that it holds go on.

    A request that comes between two of its waits is lost, so it is asked twice. Asked while a
    process of several threads dies, it often waits for one of them for ever: it is killed then,
    and the kernel lets go of what it held.
    """
    for _ in range(2):
        strace.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            strace.wait(1)
            return
    strace.kill()
    strace.wait()
