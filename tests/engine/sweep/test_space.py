"""Spaces: the short form, YAML, conditions, grids, and what is wrong with them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightning_template.engine.cli.command_line import read_config
from lightning_template.engine.sweep.plan import number_of_trials, with_whole_numbers_as_floats
from lightning_template.engine.sweep.space import examples, grid, option_args, read_space
from lightning_template.engine.sweep.values import Range


def values(text: str) -> Any:
    return read_space([text], read_config)[0].values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.lr=1e-4..1e-1:log", Range(1e-4, 1e-1, None, log=True)),
        ("a.n=1..5", Range(1, 5)),
        ("a.n=16..64:step=16", Range(16, 64, 16)),
        ("a.n=0..1:step=0.25", Range(0, 1, 0.25)),
        ("a.n=0..1:step=0.75", Range(0, 0.75, 0.75)),
        ("a.x=-1.5..-.5", Range(-1.5, -0.5)),
        ("a.n=16,32", (16, 32)),
        ("a.kind=torch.optim.SGD,torch.optim.Adam", ("torch.optim.SGD", "torch.optim.Adam")),
        ("a.widths=[16],[32, 32]", ([16], [32, 32])),
        ("a.on=true,false", (True, False)),
        ("a.n=5", (5,)),
        ("a.file=../x,..", ("../x", "..")),
    ],
)
def test_the_short_form(text: str, expected: object) -> None:
    assert values(text) == expected


def test_a_file_means_what_the_short_form_means(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        "a.lr: {low: 1e-4, high: 1e-1, log: true}\na.n: 1..5\na.kind: [x, y]\n"
        "a.momentum: {choices: [0, 0.9], when: {a.kind: y}}\n"
    )
    space = {parameter.name: parameter for parameter in read_space([str(file), "a.n=7,8"], read_config)}
    assert space["a.lr"].values == values("a.lr=1e-4..1e-1:log")
    assert space["a.n"].values == (7, 8), "what comes later overrides"
    assert space["a.momentum"].when == {"a.kind": ("y",)}
    assert space["a.momentum"].labels == ["0", "0.9"], "of two types, so Optuna keeps texts"
    assert [space["a.momentum"].value_of(label) for label in space["a.momentum"].labels] == [0, 0.9]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the space is empty"),
        (["seed_everything=1,2"], "give --seeds N"),
        (["a b=1,2"], "needs options such as model.optimizer.lr, got 'a b'"),
        (["a.lr=1..0.1"], "low must be less than high, got 1 and 0.1"),
        (["a.lr=0..1:log"], "low must be greater than 0 with log"),
        (["a.lr=1..2:step=3"], "step must be greater than 0 and fit in the range, got 3"),
        (["a.lr=1..2:lag"], "`lag` is not one of log, step=STEP, did you mean log?"),
        (["a.lr=1..2:log:step=1"], "log and step exclude one another"),
        (["a.lr=1..b"], "a range is LOW..HIGH"),
        (["a.lr=1..1e999"], "high must be a number, got inf"),
        (["a.n=1,1"], "has 1 twice"),
        (["a.n="], "has no values"),
        (["a.n=[1"], "choices are values with commas"),
    ],
)
def test_what_is_wrong_is_said(given: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_space(given, read_config)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"a": {"lo": 1, "high": 2}}, "`lo` is not one of choices, low, high, log, step, when, did you mean low?"),
        ({"a": {"high": 2}}, "low missing"),
        ({"a": {"low": True, "high": 2}}, "low must be a number, got True"),
        ({"a": 5}, "must be a list of choices, a range LOW..HIGH or keys"),
        ({"a": {"choices": [1], "low": 1}}, "`a` has choices, so it is no range: leave out low"),
        ({"a": {"choices": 3}}, "`choices` must be a list, got 3"),
        ({"a": [1], "b": {"choices": [1], "when": {"c": 1}}}, "`when` names c, which the space does not have"),
        ({"a": ["x"], "b": {"choices": [1], "when": {"a": "y"}}}, "`when` names y, which is no choice of a"),
        ({"a": "1..2", "b": {"choices": [1], "when": {"a": 1}}}, "`when` needs an option with choices, a is a range"),
        (
            {"a": {"choices": [1], "when": {"b": 1}}, "b": {"choices": [1], "when": {"a": 1}}},
            "`when` of a and b depend on one another",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(space: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_space(["space.yaml"], lambda path: space)


CONDITIONAL = {
    "model.optimizer.momentum": {"choices": [0.0, 0.9], "when": {"model.optimizer": "SGD"}},
    "model.optimizer": ["SGD", "Adam"],
    "n": "1..3",
}


def test_a_grid_has_each_point_once_and_no_option_without_its_condition() -> None:
    points = list(grid(read_space(["x"], lambda path: CONDITIONAL)) or ())
    assert len(points) == 9  # 2 x 3 of SGD, 3 of Adam
    assert len({str(point) for point in points}) == 9
    assert {"model.optimizer": "Adam", "n": 2} in points
    assert grid(read_space(["a=0.0..1"], read_config)) is None


def test_examples_hold_every_choice_and_both_ends() -> None:
    points = list(examples(read_space(["x"], lambda path: CONDITIONAL)))
    seen = {(name, value) for point in points for name, value in point.items()}
    assert seen == {
        ("model.optimizer", "SGD"),
        ("model.optimizer", "Adam"),
        ("model.optimizer.momentum", 0.0),
        ("model.optimizer.momentum", 0.9),
        ("n", 1),
        ("n", 3),
    }
    assert option_args(points[0]) == ["--n=1", "--model.optimizer=SGD", "--model.optimizer.momentum=0.0"]


def test_the_number_of_trials() -> None:
    finite, endless = read_space(["a=1..3", "b=x,y"], read_config), read_space(["a=0.5..3"], read_config)
    assert number_of_trials(finite, None, None) == (6, "grid")
    assert number_of_trials(finite, 4, None) == (4, "tpe")
    assert number_of_trials(finite, 9, "grid") == (6, "grid")
    assert number_of_trials(endless, 5, None) == (5, "tpe")
    assert number_of_trials(endless, 5, "random") == (5, "random")
    for arguments, message in (
        ((endless, None, None), "give --trials N, or choices or a step for a grid"),
        ((endless, 5, "grid"), "ranges without end"),
        ((finite, None, "tpe"), "give --trials N"),
        ((read_space(["a=1..9999", "b=1..2"], read_config), None, None), "more than 10000 points"),
    ):
        with pytest.raises(ValueError, match=message):
            number_of_trials(*arguments)


def test_whole_ends_of_a_range_of_floats() -> None:
    space = read_space(["a=0..1", "b=0..1"], read_config)
    first, second = with_whole_numbers_as_floats(space, {"a": float, "b": int})
    assert isinstance(first.values, Range)
    assert not first.values.is_whole
    assert second == space[1]
