"""Rows: the catalog's database."""
