"""The model file: opened, described, asked."""
