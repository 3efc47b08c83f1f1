"""The process: its signals, its output, its errors and its exit status. Imports no torch."""
