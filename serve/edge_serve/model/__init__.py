"""The model behind the server: queue, batches, reloading."""
