"""The service's GeoJSON features, parsed into typed rows."""
