"""Studies that compare mining rules."""
