"""Commands for others to read, use and repeat a run: its export, its report, and its training again."""
