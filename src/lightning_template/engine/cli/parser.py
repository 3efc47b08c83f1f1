"""The parser of configurations, also of the classes that they name."""

from lightning_template.engine.libraries.jsonargparse_private import SignatureParser


class TemplateParser(SignatureParser):
    """Parser of the command line and of configuration files; the classes in them are parsed by others of this class."""
