"""Private parts of jsonargparse. tests/engine/libraries holds what is assumed of the installed version."""

import inspect
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser


class SignatureParser(LightningArgumentParser):
    """Parser that lets some required parameters of classes and functions be left out; their value is then None.

    jsonargparse makes the parser of each class in a configuration from the class of the parser around it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left_out: set[str] = set()
        """Names of these parameters."""

    def may_be_left_out(self, owner: object, name: str, kind: object) -> bool:
        """Tell whether a required parameter may have no value.

        Args:
            owner: Class or function that takes it.
            name: Its name.
            kind: Its type, as it is annotated.
        """
        return False

    def _add_signature_parameter(
        self, container: Any, nested_key: str | None, param: Any, added_args: list[str], *args: Any, **kwargs: Any
    ) -> None:
        if param.default is inspect.Parameter.empty and "default" not in kwargs:
            owner = param.parent if isinstance(param.parent, type) else param.component
            if self.may_be_left_out(owner, param.name, param.annotation):
                kwargs["default"] = None
                self.left_out.add(param.name)
        super()._add_signature_parameter(container, nested_key, param, added_args, *args, **kwargs)
