"""A conformance check of any Iceberg REST catalog, over HTTP alone."""
