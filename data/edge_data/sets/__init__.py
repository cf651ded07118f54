"""Sets of images: found, downloaded, split, kept decoded."""
