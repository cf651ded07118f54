"""The machine that is measured: what it is, how warm, and what else runs on it."""
