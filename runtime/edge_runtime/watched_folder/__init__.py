"""A folder that pictures arrive in."""
