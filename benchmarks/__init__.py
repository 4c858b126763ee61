"""What the catalog promises of its speed, measured: ``python -m benchmarks`` or ``make bench``."""
