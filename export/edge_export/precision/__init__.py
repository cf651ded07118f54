"""fp16 and int8, within a budget of accuracy."""
