"""How many are right, and how sure one may be of it."""
