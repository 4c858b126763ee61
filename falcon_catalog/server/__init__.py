"""The HTTP server: waitress, with responses from the event loop, bounded waits and a clean stop.

Knows nothing of the catalog. Relies on these internals of waitress 3.0.2, to which it is pinned:

* ``channel.HTTPChannel``: ``service``, ``received``, ``requests``, ``request``, ``requests_lock``,
  ``outbuf_lock``, ``total_outbufs_len``, ``current_outbuf_count``, ``close_when_flushed``,
  ``will_close``, ``_flush_exception``, ``_flush_some_if_lockable``,
  ``parser_class``, ``task_class``, ``error_task_class``
* ``parser.HTTPRequestParser``: ``received``, ``parse_header``, ``body_rcv``, ``expect_continue``,
  ``headers_finished``, ``error``, ``completed``
* ``task.WSGITask``: ``start``, ``execute``, ``write``, ``build_response_header``, ``wrote_header``,
  ``set_close_on_finish``, ``close_on_finish``, ``content_length``, ``chunked_response``
* ``task.ThreadedTaskDispatcher``: ``threads``, ``queue``, ``stop_count``, ``active_count``
* ``server.create_server`` with ``_dispatcher`` and ``map``; its listeners' ``channel_class``,
  ``accepting``, ``trigger``, ``pull_trigger``, ``in_connection_overflow``
* ``wasyncore.poll2``
"""
