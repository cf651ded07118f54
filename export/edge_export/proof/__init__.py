"""The exported file against its checkpoint."""
