"""Which atoms are real, as the fitted model has it."""
