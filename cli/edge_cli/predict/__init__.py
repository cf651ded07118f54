"""What `edge predict` does with its images and prints of them."""
