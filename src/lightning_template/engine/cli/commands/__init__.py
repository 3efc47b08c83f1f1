"""Commands that do what the Trainer does not. Only `check` imports torch."""
