"""What is told to a person: `check` in a few lines of text, `page` on a page that any browser opens."""
