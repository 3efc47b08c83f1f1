"""Callbacks of every run: run directory, checkpoints, progress bar, checks of the loss."""
