"""What a model in use answers over time, against what it was measured on."""
