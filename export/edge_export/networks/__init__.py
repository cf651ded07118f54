"""What is exported where it is more than one network's probabilities."""
