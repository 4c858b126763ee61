"""The command line: ``serve``, ``check``, ``migrate``, ``config``, ``principals`` and others.

Expected errors are one line on stderr: exit status 2 for a wrong setting, 1 for the others.
"""

from importlib import import_module
from typing import Any

import click

from falcon_catalog import __version__
from falcon_catalog.cli.stdout import ending_with_its_reader
from falcon_catalog.wording import did_you_mean

_PACKAGE = "falcon_catalog"
_COMMANDS = {
    "access": "cli.access:access_group",
    "audit": "cli.audit:audit",
    "backup": "cli.backup:backup_command",
    "branch": "console.refs:branch",
    "check": "conformance.command:command",
    "compact": "console.maintenance:compact",
    "config": "cli.serve:config_group",
    "diff": "console.diff:command",
    "doctor": "cli.doctor:doctor",
    "drop": "console.moves:drop",
    "dropped": "cli.dropped:dropped",
    "engines": "engines:command",
    "expire": "console.maintenance:expire",
    "files": "console.files:command",
    "grant": "cli.access:grant",
    "install": "cli.install:install_command",
    "log": "console.log:command",
    "login": "cli.login:login_command",
    "logout": "cli.login:logout_command",
    "ls": "console.ls:command",
    "maintain": "cli.dropped:maintain",
    "migrate": "cli.migrate:migrate",
    "principals": "cli.principals:principals_group",
    "properties": "console.properties:command",
    "relocate": "cli.relocate:relocate_command",
    "rename": "console.moves:rename",
    "restore": "cli.backup:restore_command",
    "revoke": "cli.access:revoke",
    "roles": "cli.roles:roles_group",
    "rollback": "console.refs:rollback",
    "sample": "console.sample:command",
    "serve": "cli.serve:serve_command",
    "show": "console.show:command",
    "sql": "console.sql:command",
    "storage": "cli.storage:storage_group",
    "store": "cli.store:store_group",
    "tag": "console.refs:tag",
    "undrop": "cli.dropped:undrop_command",
    "uninstall": "cli.install:uninstall_command",
    "whoami": "cli.login:whoami_command",
    "why": "cli.access:why",
}


class _Commands(click.Group):
    """Commands that are imported on use, so that ``serve`` loads neither backup nor doctor."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the program; it ends silently when the reader of stdout has left."""
        with ending_with_its_reader():
            return super().main(*arguments, **options)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for one that does not exist has names that are close."""
        name = arguments[0]
        if name not in _COMMANDS and not name.startswith("-"):
            context.fail(f"No such command {name!r}{did_you_mean(name, list(_COMMANDS))}.")
        return super().resolve_command(context, arguments)

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Return a command, or None."""
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(f"{_PACKAGE}.{module}"), attribute)
        return command


_CONTEXT = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="falcon-catalog")
def main() -> None:
    """Serve and maintain an Apache Iceberg REST catalog.

    \b
    A lakehouse on this machine, in ./var/catalog:
        falcon-catalog serve
    Query it from DuckDB:
        ATTACH 'default' AS lake (TYPE iceberg,
            ENDPOINT 'http://127.0.0.1:8181', AUTHORIZATION_TYPE 'none');

    Flags win over environment variables, which win over the file given with --config, which
    wins over the defaults. STATE is $STATE_DIRECTORY, or ./var/catalog.
    """
