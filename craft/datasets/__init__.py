"""Readers of labelled sets, augmentation and the loader."""
