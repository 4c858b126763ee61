"""Tell of failures: by e-mail, to a webhook such as Slack's, and by any command.

Section [notify] of conf/luigi.cfg says to whom; nobody is told unless it does. Tasks tell by
themselves (`events.listen`), systemd's units with ``python -m jobs.notify --unit NAME``.
"""

from jobs.notify.events import listen

__all__ = ["listen"]
