"""Words that the shell completes from what a catalog has."""

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator

import click
from click.shell_completion import CompletionItem

from falcon_catalog.console.connection import CONNECTION, Client, connected
from falcon_catalog.console.output import Output

COMPLETION_SECONDS = 2.0
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def from_catalog(words: Callable[[Client, click.Context, str], Iterable[str]]) -> Completer:
    """Return what ``shell_complete`` of an argument or option takes.

    Args:
        words: returns the words that there are; its arguments are the catalog, what was typed
            before, and the incomplete word. Those that start with it are completed.

    There are none if the catalog does not answer soon, or fails in any other way.
    """

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        import pyiceberg.catalog.rest  # noqa: F401 - its loading has no deadline

        connection = {key: context.params.get(key) for key in CONNECTION}
        with contextlib.suppress(Exception), _deadline(), connected(**connection) as found:
            known = words(Client(*found, Output()), context, incomplete)
            return starting(known, incomplete)
        return []

    return complete


def starting(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the words that start with an incomplete one."""
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    """Raise TimeoutError in the body when a person has waited long enough for a completion."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, COMPLETION_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
