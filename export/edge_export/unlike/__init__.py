"""What a picture unlike all training looks like: measured at export, and stored in the file."""
