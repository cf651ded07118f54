"""A page that labels pictures: the table it fills in, what to look at first, and the server of one person."""
