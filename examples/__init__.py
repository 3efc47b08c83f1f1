"""Tasks beside those of the package: one Python file, one YAML file and one test each."""
