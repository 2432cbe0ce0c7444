"""Official scoring protocols and summaries. No torch."""
