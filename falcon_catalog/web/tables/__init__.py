"""The pages of a table: one module for each tab."""
