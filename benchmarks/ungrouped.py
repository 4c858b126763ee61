"""The catalog with each change in a transaction of its own: what group commit is held against."""

from falcon_catalog.cli import main
from falcon_catalog.store.sqlite import writer


def ungroup() -> None:
    """Let no change share a transaction with another one, in this process."""
    writer._LARGEST_BATCH = 1  # noqa: SLF001 - nobody needs a setting that makes it slower


if __name__ == "__main__":
    ungroup()
    main()
