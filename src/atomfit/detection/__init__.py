"""First atoms of a map: what stands out of its noise, how wide an atom is, and where the maxima are."""
