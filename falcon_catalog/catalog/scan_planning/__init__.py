"""Server-side scan planning: which files a scan must read, and what is left to filter."""
