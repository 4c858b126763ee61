"""The SQLite store: one file, and no other service."""
