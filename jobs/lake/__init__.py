"""Rows into Iceberg tables, over the REST protocol."""
