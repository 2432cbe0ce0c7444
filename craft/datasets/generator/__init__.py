"""Synthetic scenes with exact characters."""
