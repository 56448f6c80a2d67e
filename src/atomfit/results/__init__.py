"""What the jobs find, as data: writers, pages and figures know it, and it knows none of them."""
