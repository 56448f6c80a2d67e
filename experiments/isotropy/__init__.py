"""How near the degree of isotropy of atoms comes to the true one; see README.md."""
