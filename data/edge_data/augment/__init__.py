"""Augmentation of training images, and a picture of it."""
