"""The storage check: proves that a warehouse's storage does what the catalog relies on."""
