"""Sequence labelling, checked against scikit-learn over positions; padding changes nothing."""

from functools import partial
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn.functional import pad

from lightning_template.networks import ConvTagger, TokenTagger
from lightning_template.tasks import SequenceLabellingTask

LENGTHS = torch.tensor([7, 4, 1, 5])


def make_task(loss: nn.Module | None = None, takes_tokens: bool = True) -> SequenceLabellingTask:
    torch.manual_seed(0)
    network = TokenTagger(10, 3, channels=8) if takes_tokens else ConvTagger(2, 3, channels=8)
    optimizer = partial(torch.optim.SGD, lr=0.1)
    return SequenceLabellingTask(network, loss or nn.CrossEntropyLoss(), num_classes=3, optimizer=optimizer)


def measured(task: SequenceLabellingTask, *batches: Any) -> dict[str, float]:
    for batch in batches:
        task.validation_step(batch, 0)
    results = task.val_measures.results()
    return {name.removeprefix("val/"): metric.compute().item() for name, metric in results.items()}


def padded_tokens() -> tuple[Tensor, Tensor]:
    is_padding = torch.arange(7) >= LENGTHS.unsqueeze(1)
    tokens, targets = torch.randint(1, 10, (4, 7)), torch.randint(3, (4, 7))
    return tokens.masked_fill(is_padding, 0), targets.masked_fill(is_padding, -100)


def test_loss_and_metrics_are_those_of_single_sequences() -> None:
    tokens, targets = padded_tokens()
    task = make_task()
    found = measured(task, (tokens, targets))
    outputs = [task.network(sample[None, :length])[0].T for sample, length in zip(tokens, LENGTHS, strict=True)]
    logits = torch.cat(outputs).detach()
    true = torch.cat([sample[:length] for sample, length in zip(targets, LENGTHS, strict=True)])
    expected = {
        "loss": -logits.log_softmax(1).gather(1, true[:, None]).mean().item(),
        "accuracy": accuracy_score(true, logits.argmax(1)),
        "f1": f1_score(true, logits.argmax(1), average="macro"),
    }
    assert found == pytest.approx(expected, rel=1e-4)


def test_more_padding_changes_no_number() -> None:
    tokens, targets = padded_tokens()
    longer = pad(tokens, (0, 9)), pad(targets, (0, 9), value=-100)
    one, other = make_task(), make_task()
    assert measured(one, longer) == pytest.approx(measured(other, (tokens, targets)), rel=1e-5)
    for task, batch in ((one, longer), (other, (tokens, targets))):
        task.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
    for name, weight in one.named_parameters():
        torch.testing.assert_close(weight.grad, other.get_parameter(name).grad, rtol=1e-4, atol=1e-6, msg=name)
    found, expected = one.predict_step(longer, 0), other.predict_step((tokens, targets), 0)
    assert found["prediction"] == expected["prediction"]
    assert torch.equal(found["share"], expected["share"])


def test_batches_may_differ_in_length() -> None:
    tokens, targets = padded_tokens()
    parts = [(tokens[[0, 3]], targets[[0, 3]]), (tokens[1:3, :4], targets[1:3, :4])]
    found, expected = measured(make_task(), *parts), measured(make_task(), (tokens, targets))
    assert {name: found[name] for name in ("accuracy", "f1")} == pytest.approx(
        {name: expected[name] for name in ("accuracy", "f1")}
    )


def test_a_batch_may_have_lengths() -> None:
    values, targets = torch.randn(4, 7, 2), torch.randint(3, (4, 7))
    task = make_task(takes_tokens=False)
    found = measured(task, (values, LENGTHS, targets))
    longer = pad(values, (0, 0, 0, 5), value=3.0), LENGTHS, pad(targets, (0, 5), value=1)
    assert measured(make_task(takes_tokens=False), longer) == pytest.approx(found, rel=1e-5)
    table = task.predict_step((values, LENGTHS, targets), 0)
    predicted = [text.split() for text in table["prediction"]]
    assert [len(classes) for classes in predicted] == LENGTHS.tolist()
    shares = [[classes.count(str(index)) / len(classes) for index in range(3)] for classes in predicted]
    torch.testing.assert_close(table["share"], torch.tensor(shares))
    assert table["target"] == [
        " ".join(map(str, sample[:length].tolist())) for sample, length in zip(targets, LENGTHS, strict=True)
    ]


def test_lengths_need_a_loss_that_leaves_positions_out() -> None:
    class Loss(nn.Module):
        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs.mean()

    with pytest.raises(ValueError, match="lengths in a batch need a `loss` with `ignore_index`"):
        make_task(Loss(), takes_tokens=False).training_step(
            (torch.randn(4, 7, 2), LENGTHS, torch.zeros(4, 7).long()), 0
        )


def test_a_batch_of_other_parts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"define `unpack\(self, batch\)`"):
        make_task().training_step({"tokens": torch.ones(2, 3)}, 0)


def test_figures_show_sequences() -> None:
    _, targets = padded_tokens()
    predictions = torch.rand(4, 3, 7)
    figures = make_task().figures(torch.zeros(4, 7), predictions, targets)
    assert list(figures) == ["classes/f1", "sequences"]
    images = figures["sequences"].axes[0].images
    assert [image.get_array().shape for image in images] == [(2, 7, 3)] * 4
    assert (torch.as_tensor(images[1].get_array())[:, 4:] == 1).all()  # padding is white
