"""The `lightning-template` command, as `python -m lightning_template`."""

import sys

from lightning_template.engine.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
