"""Care for a store: back it up, restore it, find what is wrong with it, repair it."""
