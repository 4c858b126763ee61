"""The channels of notifications, each with a time limit, none of them raising."""

import json
import os
import re
import shlex
import signal
import smtplib
import ssl
import subprocess
import threading
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import luigi
import requests
from luigi.notifications import email, smtp

from jobs.config import SECRET, Number, Text
from jobs.notify.message import Failure


class notify(luigi.Config):  # noqa: N801 - the name is the section and the flags' prefix
    """Who is notified of failures: section [notify]."""

    slack_webhook = Text(
        "",
        **SECRET,
        description='URL that takes a POST of {"text": …}, such as an incoming webhook of Slack',
    )
    command = Text("", description="program and arguments; reads the failure as JSON from stdin")
    email_to = Text("", description="addresses, with commas between them")
    smtp_password = Text("", **SECRET, description="password of [smtp] username")
    timeout = Number(10.0, description="seconds for each of them to take the message")


Channel = Callable[[Failure, notify], None]


def channels(settings: notify) -> dict[str, Channel]:
    """Return the channels that are configured, by name."""
    known: dict[str, tuple[str, Channel]] = {
        "slack_webhook": (settings.slack_webhook, post),
        "command": (settings.command, run),
        "email_to": (settings.email_to, mail),
    }
    return {name: channel for name, (value, channel) in known.items() if value}


def send(failure: Failure, settings: notify) -> dict[str, str]:
    """Notify all channels concurrently; return errors by channel.

    It takes little more than ``timeout`` seconds at most.
    """
    outcomes: dict[str, str] = {}

    def attempt(name: str, channel: Channel) -> None:
        try:
            channel(failure, settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            outcomes[name] = f"{type(error).__name__}: {_without_secret(str(error), settings)}"

    threads = {
        name: threading.Thread(target=attempt, args=(name, channel), daemon=True)
        for name, channel in channels(settings).items()
    }
    for thread in threads.values():
        thread.start()
    # A little more than each may take, so that its own word comes first.
    for name, thread in threads.items():
        thread.join(settings.timeout + 1)
        if thread.is_alive():
            outcomes[name] = f"no answer within {settings.timeout:g} s"
    return dict(outcomes)


def post(failure: Failure, settings: notify) -> None:
    """Post the text as JSON to the webhook.

    Raises:
        requests.RequestException: the URL cannot be reached, or returns an error.
    """
    # Slack reads &, < and > as its own: https://docs.slack.dev/messaging/formatting-message-text
    text = failure.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    answer = requests.post(settings.slack_webhook, json={"text": text}, timeout=settings.timeout)
    answer.raise_for_status()


def run(failure: Failure, settings: notify) -> None:
    """Run the command with the failure as JSON on its standard input.

    Raises:
        OSError: it cannot be run.
        subprocess.SubprocessError: it fails, or exceeds ``timeout`` and is killed.
    """
    with subprocess.Popen(  # noqa: S603 - the settings name it
        shlex.split(settings.command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.communicate(json.dumps(failure.as_json()).encode(), settings.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, settings.command)


def mail(failure: Failure, settings: notify) -> None:
    """Send the text by e-mail, with the settings of [smtp] and [email].

    Raises:
        OSError: the server cannot be reached, or its certificate is not trusted.
        smtplib.SMTPException: the server rejects the message.
    """
    message = EmailMessage()
    message["Subject"] = failure.subject
    message["From"] = email().sender
    message["To"] = ", ".join(part for part in re.split(r"[,\s]+", settings.email_to) if part)
    message.set_content(failure.text)
    server: Any = smtp()
    kind = smtplib.SMTP_SSL if server.ssl else smtplib.SMTP
    with kind(server.host, server.port, timeout=settings.timeout) as connection:
        connection.ehlo()
        if not (server.ssl or server.no_tls) and connection.has_extn("starttls"):
            connection.starttls(context=ssl.create_default_context())
        password = settings.smtp_password or server.password
        if server.username and password:
            connection.login(server.username, password)
        connection.send_message(message)


def _without_secret(words: str, settings: notify) -> str:
    """Return words without the webhook's URL and path, which are secret."""
    url = settings.slack_webhook
    if url:
        address = urlsplit(url)
        for secret in (url, url.removeprefix(f"{address.scheme}://{address.netloc}"), address.path):
            if len(secret) > 1:
                words = words.replace(secret, "…")
    return " ".join(words.split())
