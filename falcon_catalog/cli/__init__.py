"""The command line: ``serve``, ``check``, ``migrate``, ``config``, ``principals`` and others.

Expected errors are one line on stderr: exit status 2 for a wrong setting, 1 for the others.
"""

import click

from falcon_catalog import __version__, engines
from falcon_catalog.cli import backup, doctor, dropped, principals, relocate, serve
from falcon_catalog.conformance import command as conformance


@click.group(context_settings={"max_content_width": 100})
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


for _command in (
    serve.serve_command,
    serve.migrate,
    serve.config_group,
    dropped.dropped,
    dropped.undrop_command,
    dropped.maintain,
    backup.backup_command,
    backup.restore_command,
    doctor.doctor,
    relocate.relocate_command,
    principals.principals_group,
    conformance.command,
    engines.command,
):
    main.add_command(_command)
