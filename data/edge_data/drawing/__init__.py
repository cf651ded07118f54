"""Pictures drawn for people."""
