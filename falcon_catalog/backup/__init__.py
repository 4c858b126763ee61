"""Back up, restore and relocate a store."""
