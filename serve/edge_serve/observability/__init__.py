"""What can be seen of a running server: metrics and the log."""
