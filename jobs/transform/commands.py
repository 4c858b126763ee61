"""Run dbt commands one after the other, until one fails: the program that ``running`` starts.

It knows nothing but dbt, which keeps global state and so gets a process of its own; in one process
the commands share its start and the parsed project.
"""

import json
import sys


def main() -> int:
    """Run the commands given as JSON, a list of lists of arguments; 1 when one failed."""
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 - a second of imports, not for importers

    runner = dbtRunner()
    for arguments in json.loads(sys.argv[1]):
        result = runner.invoke(arguments)
        if result.exception is not None:
            print(result.exception, file=sys.stderr)  # noqa: T201 - the program's output
        if not result.success:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
