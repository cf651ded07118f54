"""What `edge bench` prints, and what it measures when."""
