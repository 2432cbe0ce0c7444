"""Region and affinity maps from quads."""
