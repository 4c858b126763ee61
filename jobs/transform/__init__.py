"""Build the marts with dbt: the process dbt runs in, and what its results say."""
