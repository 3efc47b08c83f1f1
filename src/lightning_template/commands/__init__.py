"""Commands that do what the Trainer does not. None imports torch."""
