"""A page to try detection on: drop an image, and move the thresholds while words and maps follow.

A file imports only from files above it:

    scored_images  The images that were uploaded, scored once and decoded whenever a threshold moves.
    server         The page and its images over HTTP, for this machine alone.
"""
