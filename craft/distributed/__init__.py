"""Processes that train together.

A file imports only from files above it:

    rendezvous  A fresh start for processes that torchrun has started again: none reads what an earlier attempt left b
    processes   Processes that train together under torchrun: who this one is, and what they tell each other.
"""
