"""What the refined atoms say: numbers per atom, each with one definition."""
