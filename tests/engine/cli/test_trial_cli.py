"""Configurations of trials that were parsed with other numbers."""

from typing import Any

from jsonargparse import Namespace

from lightning_template.engine.cli.trial_cli import Templates, value_of


def of(**values: Any) -> Namespace:
    return Namespace(**values)  # type: ignore[no-untyped-call]


def parsed(lr: float, momentum: object = 0) -> Namespace:
    optimizer = of(class_path="torch.optim.SGD", init_args=of(lr=lr, momentum=momentum))
    model = of(class_path="a.Task", init_args=of(optimizer=optimizer, widths=[4]))
    return of(fit=of(model=model, seed_everything=0))


def test_numbers_are_put_into_a_configuration() -> None:
    templates = Templates()
    given = {"model.optimizer.lr": 0.1, "seed_everything": 0}
    assert templates.find(given) is None
    templates.add(given, parsed(0.1))
    found = templates.find({"model.optimizer.lr": 0.5, "seed_everything": 7})
    assert found is not None
    assert (value_of(found, "model.optimizer.lr"), value_of(found, "seed_everything")) == (0.5, 7)
    assert templates.find(given) == parsed(0.1), "the template is as it was"


def test_what_was_parsed_with_other_options_is_not_taken() -> None:
    templates = Templates()
    templates.add({"model.optimizer.lr": 0.1, "model.widths": [4]}, parsed(0.1))
    for other in (
        {"model.optimizer.lr": 0.1, "model.widths": [8]},
        {"model.optimizer.lr": 1, "model.widths": [4]},
        {"model.optimizer.lr": "auto", "model.widths": [4]},
        {"model.optimizer.lr": 0.1},
    ):
        assert templates.find(other) is None
    templates.add({"model.optimizer.betas": 0.9}, parsed(0.1))
    assert templates.find({"model.optimizer.betas": 0.9}) is None, "the configuration has no such option"
    templates.add({"model.optimizer.momentum": 0}, parsed(0.1, momentum="0"))
    assert templates.find({"model.optimizer.momentum": 1}) is None, "the parser takes it for something else"


def test_a_whole_number_for_an_option_that_takes_floats() -> None:
    templates = Templates()
    templates.add({"model.optimizer.lr": 1}, parsed(1.0))
    found = templates.find({"model.optimizer.lr": 2})
    assert found is not None
    assert type(value_of(found, "model.optimizer.lr")) is float
