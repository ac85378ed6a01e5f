"""Files of volumes, read and written: below transforms and data, which say what is done with them."""
