"""What is told to a person: `check` in a few lines of text, `page` on pages that any browser opens."""
