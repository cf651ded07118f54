"""Image bytes to RGB, and RGB to the model's input."""
