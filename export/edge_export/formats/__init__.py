"""The files that a network is written to."""
