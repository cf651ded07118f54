"""Files and folders: found, walked, written so that nobody sees half of one."""
