"""What a user may choose, written once: command line, documentation and Python take it from here."""
