"""A sweep: many trainings, chosen by validation and by what they cost on the device."""
