"""Grad-CAM: what in a picture an answer rests on."""
