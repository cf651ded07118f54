"""Checkpoints that were trained elsewhere, made into runs."""
