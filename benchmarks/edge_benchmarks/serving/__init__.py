"""What a server is measured with: load, and a plain endpoint to compare with."""
