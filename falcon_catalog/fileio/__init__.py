"""Files by location: Iceberg's FileIO."""
