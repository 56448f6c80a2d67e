"""What is in a specimen: atoms, their elements and neighbours, and the grids that they are seen on."""
