"""What each job writes: the files of a result, page and figures among them."""
