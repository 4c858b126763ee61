"""What the event loop answers itself: requests that wait for nothing.

Handing a request to a thread and back costs more than loading a table that is in memory. So
where an application has a ``may_be_quick(method, path)`` that says yes, the loop asks it at once,
with ``AT_ONCE`` in the WSGI environment. If answering would make it wait after all, the
application raises ``WouldWait`` before it has had any effect, and is called again from a thread.
"""

AT_ONCE = "falcon_catalog.at_once"


class WouldWait(BaseException):
    """Answering takes a thread: it reads a file, changes something, or takes long."""
