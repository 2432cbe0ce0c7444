"""Processes that train together.

A file imports only from files above it:

    rendezvous  A fresh start for processes that torchrun has restarted.
    processes   This process's rank and device, and collective operations.
"""
