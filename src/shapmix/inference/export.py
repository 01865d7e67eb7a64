"""Export of recognisers with their preprocessing: raw keypoints in, probabilities out.

An exported model takes padded clips, for a graph has no ragged tensors: `keypoints (N, L, M, V, C)`
float32 and `lengths (N,)` int64, of any number of clips N and frames L.
"""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shapmix.inference.ensemble import Ensemble
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.writing import write_whole

TOLERANCE = 1e-4  # of a probability, between torch and ONNX Runtime
METADATA_FILE = "shapmix.json"  # inside a .pt2
_OPSET = 20
_CLIPS, _FRAMES = 3, 24  # of the input that is traced; neither is fixed by it

Model = ActionRecognizer | Ensemble


class ExportError(ValueError):
    """A model cannot be exported, or the exported one does not give the same."""


class PaddedRecognizer(nn.Module):
    """A recogniser or an ensemble as one function of tensors, which can be exported and compiled.

    Args:
        recognizer: its networks are used, not copied.
    """

    def __init__(self, recognizer: Model) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.eval()

    def forward(self, keypoints: Tensor, lengths: Tensor) -> Tensor:
        """Calibrated probabilities `(N, K)`.

        Args:
            keypoints: `(N, L, M, V, C)` float32; what lies beyond a clip's length is ignored, an
                absent person or joint is zero.
            lengths: `(N,)` int64, frames of each clip; taken as 1 or L where they lie outside.
        """
        lengths = lengths.clamp(min=1).clamp(max=keypoints.shape[1])
        logits = _logits(self.recognizer, keypoints, lengths)
        return (logits / self.recognizer.info.temperature).softmax(1)


def _logits(recognizer: Model, keypoints: Tensor, lengths: Tensor) -> Tensor:
    """What `recognizer.logits` gives, of padded clips: `(N, K)`."""
    if isinstance(recognizer, ActionRecognizer):
        seen = keypoints[:, :, : recognizer.num_persons]
        logits: Tensor = recognizer.model(recognizer.transform.apply_padded(seen, lengths))
        return logits
    stacked = torch.stack([_logits(part, keypoints, lengths) for part in recognizer.parts])
    weights = stacked.new_tensor(recognizer.weights)[:, None, None]
    if recognizer.scores == "logits":
        return (weights * stacked).sum(0)
    return (weights.log() + stacked.log_softmax(2)).logsumexp(0)


def export_torch(recognizer: Model, path: str | Path) -> None:
    """Write what `torch.export.load(path).module()` opens, usually named `.pt2`.

    Inputs and output are those of `PaddedRecognizer`; the facts of `metadata` are in the file
    `shapmix.json` inside, for the argument `extra_files` of `torch.export.load`.

    Raises:
        ExportError: the network cannot be traced with any number of clips and frames.
    """
    clips, frames = torch.export.Dim("clips"), torch.export.Dim("frames")
    module, example = PaddedRecognizer(recognizer), _example(recognizer)
    shapes = {"keypoints": {0: clips, 1: frames}, "lengths": {0: clips}}
    with _explained(recognizer), _quiet():
        program = torch.export.export(module, example, dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this computer
    buffer = io.BytesIO()
    torch.export.save(
        program, buffer, extra_files={METADATA_FILE: json.dumps(metadata(recognizer))}
    )
    write_whole(path, buffer.getvalue())


def export_onnx(recognizer: Model, path: str | Path) -> float:
    """Write an ONNX model, and compare it with torch by ONNX Runtime before it gets its name.

    Inputs and output are those of `PaddedRecognizer`, the output is named `probabilities`; the
    facts of `metadata` are the model's metadata properties.

    Returns:
        The largest difference between probabilities that was seen.

    Raises:
        ExportError: the network cannot be expressed in ONNX, or gives something else there.
        ImportError: onnx, onnxscript or onnxruntime is not installed.
    """
    _needs("onnx", "onnxscript", "onnxruntime")
    with _explained(recognizer), _quiet():
        program = torch.onnx.export(
            PaddedRecognizer(recognizer),
            _example(recognizer),
            dynamo=True,
            opset_version=_OPSET,
            output_names=["probabilities"],
            dynamic_shapes={"keypoints": {0: "clips", 1: "frames"}, "lengths": {0: "clips"}},
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # they name files of this computer
    program.model.metadata_props.update(metadata(recognizer))
    content = program.model_proto.SerializeToString()
    difference = _difference(content, recognizer)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"probabilities of ONNX Runtime differ from torch's by up to {difference:.2g}; "
            f"expected at most {TOLERANCE:g}: another version of torch or onnxruntime may help"
        )
    write_whole(path, content)
    return difference


def metadata(recognizer: Model) -> dict[str, str]:
    """What a user of the exported model must know, as texts; lists and mappings as JSON."""
    info = recognizer.info
    facts: dict[str, Any] = {
        "class_names": list(recognizer.class_names),
        "layout": recognizer.layout.to_dict(),
        "channels": info.channels,
        "units": info.units,
        "num_persons": recognizer.num_persons,
        "licence": info.licence,
        "source": info.source,
    }
    return {
        f"shapmix.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in facts.items()
    }


def _example(
    recognizer: Model, clips: int = _CLIPS, frames: int = _FRAMES
) -> tuple[Tensor, Tensor]:
    """Random clips of different lengths."""
    V, C = recognizer.layout.num_joints, len(recognizer.info.channels)
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.randn(clips, frames, recognizer.num_persons, V, C, generator=generator)
    return keypoints, torch.randint(1, frames + 1, (clips,), generator=generator)


def _difference(content: bytes, recognizer: Model) -> float:
    """Largest difference of a probability between ONNX Runtime and torch, on random clips."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    keypoints, lengths = _example(recognizer, clips=5, frames=50)
    keypoints[1, :, 1:] = 0  # a clip of one person
    fed = {"keypoints": keypoints.numpy(), "lengths": lengths.numpy()}
    (found,) = session.run(None, fed)
    clips = [x[:n].numpy() for x, n in zip(keypoints, lengths.tolist(), strict=True)]
    return float(abs(found - recognizer.probabilities(clips)).max())


@contextmanager
def _explained(recognizer: Model) -> Iterator[None]:
    """Whatever a trace fails with, as one error that says what to do."""
    try:
        with torch.no_grad():
            yield
    except Exception as error:
        raise ExportError(
            f"{recognizer.info.model or 'the network'} cannot be exported, {type(error).__name__}: "
            f"{str(error).strip().splitlines()[0] if str(error).strip() else ''}. A network must "
            "not look at values of its input in Python, nor fix its numbers of clips and frames"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Only errors of torch's exporters, which warn about themselves."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _needs(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"export to ONNX needs {', '.join(missing)}: pip install 'shapmix[export]'"
        )
