"""Private parts of other libraries: each access is named, explained and held by a test."""
