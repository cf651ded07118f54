"""Several processes that answer at one port: who starts them, what they are, and what they tell each other."""
