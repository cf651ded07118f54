"""Settings in a file: read and checked, printed, described by a schema."""
