"""Runs side by side, and weights averaged."""
