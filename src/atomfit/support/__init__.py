"""What any program needs: errors, arrays, memory, signals, units. It imports nothing of atomfit."""
