"""Timing: contestants in processes of their own, by turns."""
