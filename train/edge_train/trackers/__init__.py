"""Runs side by side in other tools: a callback of a few lines for each, over its own library."""
