"""What is answered: predictions, the Open Inference Protocol, the page."""
