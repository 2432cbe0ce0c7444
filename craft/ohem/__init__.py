"""Online hard example mining and the losses it serves."""
