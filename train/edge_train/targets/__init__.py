"""What a picture's labels mean to training: one class, any number of labels, or a label for each of several tasks."""
