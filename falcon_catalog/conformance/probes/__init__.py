"""The probes of operations and rules: functions whose docstrings are their claims."""
