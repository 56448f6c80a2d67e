"""Is this result to be trusted? What every result is judged by, and what is said of it."""
