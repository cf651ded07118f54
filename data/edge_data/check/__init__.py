"""What would harm training, found in a data folder."""
