"""An Apache Iceberg REST catalog on Falcon, waitress and SQLite."""

__version__ = "0.1.0"
