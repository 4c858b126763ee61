"""Failure notifications: by e-mail, to a webhook such as Slack's, and by any command.

Section [notify] of conf/luigi.cfg configures the channels; without it nothing is sent. Luigi's
events send the failures of tasks, ``python -m jobs.notify --unit NAME`` those of systemd's units.
"""

from jobs.notify.events import listen

__all__ = ["listen"]
