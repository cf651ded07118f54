"""Lists that a model's answers make: of pictures to label, and of labels to look at again."""
