"""Waitress's event loop, with deadlines, room for new clients, and a shutdown that drains.

Waitress's own shutdown drops responses that still wait in its buffers. This loop, told to stop,
accepts nothing new and turns until every request that was in flight has been answered and every
response has left, or the time for it is over.
"""

import collections
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from falcon_catalog.metrics import Metrics
from falcon_catalog.server.channel import Channel
from falcon_catalog.server.dispatcher import Dispatcher
from falcon_catalog.server.sockets import BACKLOG
from falcon_catalog.server.tasks import IDENT
from falcon_catalog.settings import ServerSettings

_TURN_SECONDS = 1.0
_REST_SECONDS = 0.001
_IDLE_SECONDS = 1.0
_OTHER_DESCRIPTORS = 64  # of the store, its log, metadata files, standard streams
_log = logging.getLogger(__name__)


class Application(Protocol):
    """What is served: WSGI, and some more verbs."""

    def __call__(self, environ: dict[str, Any], start_response: Any, /) -> Iterable[bytes]:
        """Answer one request."""

    def ready(self) -> None:
        """Raise when requests cannot be served."""

    def must_stop(self) -> str | None:
        """Return why the process must end, once requests in flight are answered; None if not."""

    def close(self) -> None:
        """Let go of everything held open."""


class Loop:
    """Waitress's event loop over some listening sockets."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        settings: ServerSettings,
        sockets: list[socket.socket],
        metrics: Metrics | None = None,
        *,
        are_shared: bool = False,
    ) -> None:
        """Serve ``app``; ``are_shared`` if other processes accept from the same sockets."""
        # Waitress warns of each request that waits for a thread, which is no trouble.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._stopping = False
        self._resting = False
        self._settings = settings
        self._are_shared = are_shared
        self._map: dict[int, Any] = {}
        self._metrics = metrics or Metrics()
        self._tended = time.monotonic()
        self._thread = threading.get_ident()
        self._dispatcher = dispatcher = Dispatcher(
            settings, self._metrics, getattr(app, "slow_paths", frozenset())
        )
        create_server(
            app,
            map=self._map,
            _dispatcher=dispatcher,
            sockets=sockets,
            backlog=BACKLOG,
            # A socket and its trigger are in the map, too.
            connection_limit=_most_connections(settings) + 2 * len(sockets),
            max_request_header_size=settings.max_header_bytes,
            channel_timeout=settings.channel_timeout,
            max_request_body_size=settings.max_body_bytes + 1,  # waitress refuses at the limit
            ident=IDENT,
            clear_untrusted_proxy_headers=False,  # nothing here reads them
        )
        self._listeners = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = self._welcome
            listener.pull_trigger = self._wake_from_thread
            listener.may_respond_inline = getattr(app, "may_respond_inline", lambda *_: False)
            listener.admit = getattr(app, "admit", lambda *_, **__: None)
            listener.error_headers = getattr(app, "error_headers", lambda _: {})
            listener.stopping = False
        self._metrics.queued.poll(lambda: dispatcher.waiting)
        self._metrics.connections.poll(lambda: len(self._channels()))

    def run(self, must_stop: Callable[[], str | None] = lambda: None) -> None:
        """Serve until ``stop`` is called, or ``must_stop``, asked each second, returns a reason."""
        self._thread = threading.get_ident()
        checked = time.monotonic()
        while not self._stopping:
            if time.monotonic() > checked + _TURN_SECONDS:
                checked = time.monotonic()
                if must_stop():
                    return
            resting = self._resting
            wasyncore.poll2(_REST_SECONDS if resting else _TURN_SECONDS, self._map)
            if resting:
                self._rest(rest=False)
            self._tend()

    def stop(self) -> None:
        """Make ``run`` return; safe in a signal handler."""
        self._stopping = True
        self.wake()

    def wake(self, then: Callable[[], object] | None = None) -> None:
        """Turn the loop once more, and call ``then`` from it."""
        self._listeners[0].trigger.pull_trigger(then)

    def turns_within(self, seconds: float) -> bool:
        """Say whether the loop turns in this time. Waits for it: not to be called from the loop."""
        turned = threading.Event()
        self.wake(turned.set)
        return turned.wait(seconds)

    @property
    def is_stalled(self) -> bool:
        """Whether every thread has been busy with one request for too long."""
        return self._dispatcher.is_stalled

    def drain(self, seconds: float) -> int:
        """Finish what is in flight; return the number of connections that were cut off."""
        self._thread = threading.get_ident()
        for listener in self._listeners:
            listener.stopping = True
            listener.accepting = False
            listener.del_channel()
            listener.socket.close()
        deadline = time.monotonic() + seconds
        wasyncore.poll2(0, self._map)  # what has arrived already is in flight, too
        while (busy := self._close_idle()) and (left := deadline - time.monotonic()) > 0:
            wasyncore.poll2(min(left, 1.0), self._map)
            self._tend()  # a client that does not read is cut off as at any time
        # The loop's own pipe stays open: a thread that is still at work may yet write to it.
        self._dispatcher.shutdown(timeout=0 if busy else 5)
        return busy

    def _wake_from_thread(self) -> None:
        """Turn the loop once more, unless it is the loop that asks."""
        if threading.get_ident() != self._thread:
            self.wake()

    def _welcome(self, *arguments: Any, **options: Any) -> Channel:
        """Accept a client. Where other processes accept from the same sockets, the next is theirs.

        When several clients connect at once, the first process to wake up would accept all of them:
        of sixteen the other one got seven on average, and one without this rest (goal 11).
        """
        if self._are_shared:
            self._rest(rest=True)
        return Channel(*arguments, **options)

    def _rest(self, *, rest: bool) -> None:
        self._resting = rest
        for listener in self._listeners:
            listener.accepting = not rest

    def _tend(self) -> None:
        """Each second, check the deadlines; when there are too many connections, more often."""
        full = any(listener.in_connection_overflow for listener in self._listeners)
        now = time.monotonic()
        if not full and now < self._tended + _TURN_SECONDS:
            return
        self._tended = now
        channels = self._channels()
        for channel in channels:
            channel.check_deadlines(self._settings)
        if full:
            _make_room(channels, 1 + len(channels) // 10)
        self._make_room_of_each_address(channels)

    def _make_room_of_each_address(self, channels: list[Channel]) -> None:
        """Close connections of an address that has more than its share."""
        most = self._settings.max_connections_per_address
        if len(channels) <= most:
            return
        by_address = collections.defaultdict(list)
        for channel in channels:
            if channel.address:
                by_address[channel.address].append(channel)
        for mine in by_address.values():
            if len(mine) > most:
                _make_room(mine, len(mine) - most)

    def _channels(self) -> list[Channel]:
        return [one for one in list(self._map.values()) if isinstance(one, Channel)]

    def _close_idle(self) -> int:
        busy = 0
        for channel in self._channels():
            if channel.is_busy or channel.has_just_connected:
                busy += 1
            else:
                channel.handle_close()
        return busy


def _most_connections(settings: ServerSettings) -> int:
    """Return how many connections there may be: near the limit of descriptors nothing works."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except ValueError:  # macOS has a lower one of its own, which it does not name
            most = soft
        if most < wanted:
            _log.warning(
                "fewer connections than server.max_connections: the process may have too few"
                " descriptors (LimitNOFILE=, ulimit -n)",
                extra={"connections": most - _OTHER_DESCRIPTORS, "descriptors": most},
            )
            return max(1, most - _OTHER_DESCRIPTORS)
    return settings.max_connections


def _make_room(channels: list[Channel], count: int) -> None:
    """Close connections that wait for nothing: the idlest, then the oldest half-sent requests."""
    waiting = [(order, one) for one in channels if (order := one.idle_order) is not None]
    now, clock = time.monotonic(), time.time()
    ripe = [
        (order, number, one)
        for number, (order, one) in enumerate(waiting)
        if order[1] < (now if order[0] else clock) - _IDLE_SECONDS
    ]
    for _, _, channel in sorted(ripe)[:count]:
        channel.handle_close()
