"""Who comes in: connections, strict HTTP, names, tokens, limits."""
