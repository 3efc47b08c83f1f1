"""Files of an exported task. Each is read again, and predicts real inputs as the task does, before it is there."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_template.engine.runs.files import write_text
from lightning_template.engine.sharing.predictor import Prediction

TOLERANCE = 1e-4
"""Largest difference from the task's predictions, as a share of their largest value."""

Reader = Callable[[list[Tensor]], list[Tensor]]
"""What a file predicts for tensors of inputs, in the order of the outputs."""


class ExportError(ValueError):
    """A task that a format cannot hold."""


def program_of(prediction: Prediction) -> Any:
    """Return the prediction as a program of `torch.export`, for any number of samples.

    Sequences of tokens may have any length too, unless a network such as an LSTM is followed step by step.

    Raises:
        ExportError: If torch cannot follow it.
    """
    tensors = list(prediction.inputs.values())
    free = [_may_move(tensor) for tensor in tensors]
    if any(1 in axes for axes in free):
        with suppress(Exception):  # torch raises what it likes
            program = _followed(prediction, free)
            axes = moving_axes(program)[0]
            with torch.no_grad():
                program.module()(*list(_parts(tensors, axes))[-1])
            if all(0 in moving for moving in axes):
                return program
    try:
        program = _followed(prediction, [[0]] * len(tensors))
    except Exception as error:  # likewise
        raise ExportError(f"`torch.export` cannot follow it: {_first_line(error)}") from error
    if any(0 not in axes for axes in moving_axes(program)[0]):
        raise ExportError(f"it takes batches of {len(tensors[0])} samples only: that size is a number in its code")
    return program


def _followed(prediction: Prediction, free: Sequence[Sequence[int]]) -> Any:
    tensors = tuple(prediction.inputs.values())
    shapes = tuple(dict.fromkeys(axes, torch.export.Dim.AUTO) for axes in free)
    with _quiet():
        return torch.export.export(prediction.module, tensors, dynamic_shapes=(shapes,))


def _may_move(tensor: Tensor) -> list[int]:
    """Return the axes whose size may differ: that of samples, and the length of sequences of tokens."""
    is_tokens = tensor.ndim == 2 and tensor.dtype in (torch.int32, torch.int64)
    return [0, 1] if is_tokens else [0]


def moving_axes(program: Any) -> tuple[list[list[int]], list[list[int]]]:
    """Return for each input of a program, and for each output, the axes of any size."""
    nodes = list(program.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"][-len(program.graph_signature.user_inputs) :]
    outputs = nodes[-1].args[0][-len(program.graph_signature.user_outputs) :]
    first, second = ([_moving(node.meta["val"].shape) for node in part] for part in (inputs, outputs))
    return first, second


def _moving(shape: Sequence[Any]) -> list[int]:
    return [axis for axis, size in enumerate(shape) if not isinstance(size, int)]


def write_program(program: Any, path: Path, metadata: Mapping[str, Any]) -> Reader:
    """Write a program of `torch.export`, and return what the file predicts."""
    with _quiet():
        torch.export.save(program, path, extra_files={"metadata.json": json.dumps(metadata)})
        loaded = torch.export.load(path).module()
    return lambda tensors: list(loaded(*tensors))


def write_onnx(program: Any, path: Path, metadata: Mapping[str, Any]) -> Reader:
    """Write an ONNX file, and return what it predicts in onnxruntime.

    Raises:
        ExportError: If ONNX has no such operation.
    """
    import onnxruntime

    names = [entry["name"] for entry in metadata["inputs"]], [entry["name"] for entry in metadata["outputs"]]
    try:
        with _quiet():
            made = torch.onnx.export(program, input_names=names[0], output_names=names[1], verbose=False)
    except Exception as error:  # torch raises what it likes
        raise ExportError(f"ONNX cannot hold it: {_first_line(error)}") from error
    assert made is not None
    for axis, name in ((1, "length"), (0, "batch")):
        sizes = [value.shape[axis] for value in made.model.graph.inputs if value.shape and len(value.shape) > axis]
        made.rename_axes({str(size): name for size in sizes if not isinstance(size, int)})
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    made.model.metadata_props.update(texts)
    made.save(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each status
        raise ExportError(f"onnxruntime cannot read it: {_first_line(error)}") from error

    def read(tensors: list[Tensor]) -> list[Tensor]:
        feed = {name: tensor.numpy() for name, tensor in zip(names[0], tensors, strict=True)}
        return [torch.from_numpy(array) for array in session.run(names[1], feed)]

    return read


def write_weights(prediction: Prediction, fresh: LightningModule, path: Path, metadata: Mapping[str, Any]) -> Reader:
    """Write a task's weights as safetensors, and what they are of as JSON beside them.

    Args:
        prediction: What the task predicts.
        fresh: Another task of the same configuration, which gets the weights in the file.
        path: File to write.
        metadata: What is written beside it.

    Returns:
        What the other task predicts.

    Raises:
        ExportError: If the weights are not tensors alone.
    """
    from safetensors.torch import load_file, save

    task = prediction.module.task
    state = task.state_dict()
    if others := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise ExportError(f"safetensors hold tensors alone, and {others[0]} is none")
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}  # none share memory
    path.write_bytes(save(weights, {"format": "pt"}))  # its own `save_file` lets nobody else read the file
    write_text(path.with_suffix(".json"), json.dumps(metadata, indent=2) + "\n")
    fresh.load_state_dict(load_file(path), strict=task.strict_loading)
    module = prediction.module.with_task(fresh.eval())

    def read(tensors: list[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            return list(module(*tensors))

    return read


def check(read: Reader, prediction: Prediction, axes: Sequence[Sequence[int]]) -> float:
    """Compare what a file predicts with the task, for all samples, for all but one, and for one alone.

    Where sequences may have any length, shorter ones are compared too.

    Args:
        read: What the file predicts.
        prediction: What the task predicts.
        axes: For each input the axes of any size.

    Returns:
        The largest difference, as a share of an output's largest value.

    Raises:
        ExportError: If it is too large, or the file does not take so many samples.
    """
    worst = 0.0
    for tensors in _parts(list(prediction.inputs.values()), axes):
        try:
            with torch.no_grad():
                expected = prediction.module(*tensors)
        except Exception as error:  # of anybody's code
            raise ExportError(f"the task takes no batch of {_shapes(tensors)}: {_first_line(error)}") from error
        try:
            found = read(tensors)
        except Exception as error:  # of torch or onnxruntime
            raise ExportError(f"read again, it takes no batch of {_shapes(tensors)}: {_first_line(error)}") from error
        for name, wanted, value in zip(prediction.outputs, expected, found, strict=True):
            difference = _difference(value, wanted)
            if not difference <= TOLERANCE:
                raise ExportError(f"read again, its {name} differs from the task's by {difference:.2g} of the largest")
            worst = max(worst, difference)
    return worst


def _parts(tensors: Sequence[Tensor], axes: Sequence[Sequence[int]]) -> Iterator[list[Tensor]]:
    number = len(tensors[0])
    for size in (number, number - 1, 1):
        yield [tensor[:size].contiguous() for tensor in tensors]
    if any(1 in moving for moving in axes):
        pairs = zip(tensors, axes, strict=True)
        yield [tensor[:, : tensor.shape[1] - 1].contiguous() if 1 in moving else tensor for tensor, moving in pairs]


def _shapes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors)


def _difference(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return float("inf")
    if not wanted.is_floating_point():
        return 0.0 if torch.equal(found, wanted) else float("inf")
    one, two = found.double(), wanted.double()
    if not torch.equal(one.isfinite(), two.isfinite()):
        return float("inf")
    one, two = one[two.isfinite()], two[two.isfinite()]
    return ((one - two).abs().max() / two.abs().max().clamp(min=1e-12)).item() if one.numel() else 0.0


def _first_line(error: Exception) -> str:
    """Return the first line of what an exception says, or of that which caused it."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) and "ONNX" in type(error).__name__ else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(cause).__name__)[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch prints and warns of on the way: what it made is checked."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
