"""What is left of a configuration without the defaults of its classes."""

from typing import Any

import pytest

from lightning_template.engine.cli.saved_config import strip_defaults


class Untyped:
    def __init__(self, size, depth=2, width: float = 0.5, inner: Any = None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        pass


def function(height, width: int = 3) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    pass


CLASS, FUNCTION = "test_saved_config.Untyped", "test_saved_config.function"
CASES: list[tuple[Any, Any]] = [
    (3, 3),
    ({"width": 0.5, "init_args": {"depth": 2}}, {"width": 0.5, "init_args": {"depth": 2}}),
    ({"class_path": CLASS}, {"class_path": CLASS}),
    ({"class_path": CLASS, "init_args": {"size": None, "depth": 2, "width": 0.5}}, {"class_path": CLASS}),
    (
        {"class_path": CLASS, "init_args": {"size": 2, "depth": 0.5, "width": 0.5}},
        {"class_path": CLASS, "init_args": {"size": 2, "depth": 0.5}},
    ),
    (
        [{"class_path": FUNCTION, "init_args": {"height": 3, "width": 3}}, 4],
        [{"class_path": FUNCTION, "init_args": {"height": 3}}, 4],
    ),
    (
        {"class_path": CLASS, "init_args": {"inner": {"class_path": FUNCTION, "init_args": {"width": 3}}}},
        {"class_path": CLASS, "init_args": {"inner": {"class_path": FUNCTION}}},
    ),
]


@pytest.mark.parametrize(("configuration", "left"), CASES)
def test_what_differs_from_the_defaults_stays(configuration: Any, left: Any) -> None:
    assert strip_defaults(configuration) == left
