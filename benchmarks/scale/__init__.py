"""Where the catalog's limits are: the tables of docs/scale.md."""
