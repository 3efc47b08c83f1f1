"""The engine: it makes runs fast, exact and visible. Nobody has to open it to write a task."""
