"""Run directories: their files, checkpoints and records, written whole or not at all."""
