"""The CRAFT network and its weights."""
