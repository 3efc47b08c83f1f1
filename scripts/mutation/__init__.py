"""Faults put into the source on purpose, and whether the tests see them."""
