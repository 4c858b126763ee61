"""Table maintenance as a part of another program: its errors are one line, without a usage text.

Run as ``python -m jobs.maintenance.embedded`` with the arguments of ``python -m jobs.maintenance``.
"""

import os
import sys

import click

from jobs.maintenance.command import main

_READER_LEFT = 141  # as a shell shows a program that SIGPIPE ended


def run() -> int:
    """Run the program; return its exit status."""
    try:
        status = main(standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return error.exit_code
    except click.Abort:
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed at exit
        return _READER_LEFT
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(run())
