"""The whole house shown in one go: ``python -m jobs.demo``."""
