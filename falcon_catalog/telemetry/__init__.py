"""What the server measures of itself: counted in memory that its processes share."""
