"""The verbs of the catalog: what the specification's operations do, without HTTP."""
