"""The command line: ``serve``, ``check``, ``migrate``, ``config``, ``principals`` and others.

A setting that cannot be used ends the program with one line and status 2, anything else
that stands in the way with one line and status 1.
"""

import click

from falcon_catalog import __version__, engines
from falcon_catalog.cli import backup, doctor, dropped, principals, relocate, serve
from falcon_catalog.conformance import command as conformance


@click.group(context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="falcon-catalog")
def main() -> None:
    """Keep an Apache Iceberg REST catalog.

    \b
    A lakehouse on this machine, in ./var/catalog:
        falcon-catalog serve
    Look at it from DuckDB:
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
