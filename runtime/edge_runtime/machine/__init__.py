"""What this machine has, how it is, and whether onnxruntime runs on it."""
