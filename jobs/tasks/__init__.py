"""Luigi tasks that fetch and load, and what all tasks share."""
