"""What is trained when and how fast: strategies, rates, losses, calibration."""
