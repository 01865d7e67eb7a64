"""Inference on a CPU: exported and compiled models against eager ones, and a live stream.

    python benchmarks/inference.py [--quick] [--json FILE]

A recogniser with CTR-GCN, at full and at a narrow width, on one raw clip of one person: keypoints
in, probabilities out, in eager mode and exported to ONNX, in turn; the network alone in eager mode
and under torch.compile, in turn. Then a stream on one core: for every frame that comes in the last
64 are judged by the narrow model.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Figure, Report, figure, in_turn, run, speedup

from shapmix import Transform, create_model, get_layout
from shapmix.inference.description import RecognizerInfo
from shapmix.inference.export import export_onnx
from shapmix.inference.live import LiveRecognition
from shapmix.inference.recognizer import ActionRecognizer
from shapmix.inference.windows import Floats, Sliding

WIDTHS = {"full width": 64, "narrow": 16}
FRAMES, RATE, CLASSES = 64, 30, 60
ACTIONS = tuple(f"action {k}" for k in range(CLASSES))


class Exported:
    """A recogniser in onnxruntime, with as many threads as torch has now."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.class_names = ACTIONS
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, clips: Sequence[Floats], *, batch_size: int = 64) -> Any:
        """`(n, K)` of clips of one length."""
        lengths = np.array([len(clip) for clip in clips])
        (found,) = self.session.run(None, {"keypoints": np.stack(clips), "lengths": lengths})
        return found


def make_recognizer(model: str, width: int) -> ActionRecognizer:
    """A recogniser of one person with random weights."""
    torch.manual_seed(0)
    network = create_model(model, "ntu25", CLASSES, width=width)
    info = RecognizerInfo("m", "xyz", "joint", FRAMES)
    layout = get_layout("ntu25")
    return ActionRecognizer(network, Transform(layout), layout, ACTIONS, num_persons=1, info=info)


def one_clip(name: str, recognizer: ActionRecognizer, path: Path, quick: bool) -> list[Figure]:
    """Goal: exported at least 1.5 times as fast as eager."""
    exported, network = Exported(path), recognizer.model
    clip = [np.random.default_rng(0).normal(size=(90, 1, 25, 3)).astype(np.float32)]
    works: dict[str, Callable[[], object]] = {
        "eager": lambda: recognizer.probabilities(clip),
        "ONNX": lambda: exported.probabilities(clip),
    }
    rounds = 3 if quick else 50
    taken = in_turn(works, rounds, warmup=5)
    x = torch.randn(1, 3, FRAMES, 25, 1)
    works = {"network, eager": torch.no_grad()(lambda: network(x))}
    if not quick:  # compiling takes a minute
        compiled = torch.compile(network)
        works["network, torch.compile"] = torch.no_grad()(lambda: compiled(x))
    taken |= in_turn(works, rounds, warmup=5)
    figures = [figure(f"{name}: {way}", seconds, "ms", 1000) for way, seconds in taken.items()]
    ways = [("eager", "ONNX", 1.5), ("network, eager", "network, torch.compile", None)]
    return figures + [
        speedup(f"{name}: {fast}", taken[slow], taken[fast], goal)
        for slow, fast, goal in ways
        if fast in taken
    ]


def stream(recognizer: ActionRecognizer, path: Path, quick: bool) -> list[Figure]:
    """Goal: at least 30 judgements a second on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    frame = np.random.default_rng(0).normal(size=(1, 25, 3)).astype(np.float32)
    figures, works = [], {}
    for way, judge in (("eager", recognizer), ("ONNX", Exported(path))):
        live = LiveRecognition(judge, Sliding(FRAMES, hop=1))
        for _ in range(FRAMES - 1):
            live.push(frame)
        works[way] = lambda live=live: live.push(frame)
    for way, seconds in in_turn(works, 3 if quick else 100, warmup=5).items():
        rates = [1 / each for each in seconds]
        name = f"stream on one core, narrow: {way}"
        figures.append(figure(name, rates, "frames/s", goal=RATE, higher_is_better=True))
    torch.set_num_threads(threads)
    return figures


def measure(quick: bool) -> Report:
    """Clips of both widths and, with the narrow one, the stream."""
    report = Report({"frames": FRAMES, "threads": torch.get_num_threads(), "widths": WIDTHS})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recognizer.onnx"
        for name, width in WIDTHS.items():
            recognizer = make_recognizer("tcn" if quick else "ctrgcn", width)
            export_onnx(recognizer, path)  # which holds it to what eager mode says
            report.figures += one_clip(name, recognizer, path, quick)
        report.figures += stream(recognizer, path, quick)
    return report


if __name__ == "__main__":
    run("inference", measure, __doc__)
