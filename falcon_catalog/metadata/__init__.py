"""Table metadata as pure functions over JSON-shaped dicts."""
