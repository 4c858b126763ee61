"""Check a store and its files, and repair them."""
