"""Inline responses: those that the event loop sends itself, without a thread.

Handing a request to a thread and back costs more than loading a table that is in memory. Where an
application has ``may_respond_inline(method, path)`` and it returns true, the loop calls it, with
``INLINE`` in the WSGI environment. If it would have to wait after all, for a file or a lock, it
raises ``WouldBlock`` before it has had any effect, and is called again from a thread. Loads reach
2.1 times the rate of those by a thread (``make bench``, mechanisms).
"""

INLINE = "falcon_catalog.inline"
PEER_UID = "falcon_catalog.peer_uid"
"""In the WSGI environment: the user at the other end of a Unix socket, as the kernel says."""


class WouldBlock(BaseException):
    """The response needs a thread: it reads a file, changes something, or takes long."""
