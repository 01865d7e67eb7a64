"""Export a trained model, with its preprocessing, for use elsewhere.

    shapmix export RUN --onnx model.onnx      for ONNX Runtime, in Python, C++, C#, Java, browsers
    shapmix export RUN --torch model.pt2      for torch.export.load, without shapmix
    shapmix export RUN --folder model         for ActionRecognizer.from_pretrained and the hub

The first two take raw keypoints (clips, frames, persons, joints, channels) and the lengths of the
clips, of any numbers of clips and frames, and give calibrated probabilities. Class names, layout,
units and licence are in the file. examples/onnx_predict.py shows how to feed one.

--folder takes a new or empty folder, or one that a model was saved in before, which is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.opening import add_model_argument

HELP = "export a model: ONNX, torch.export, or a folder for the hub"


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "run",
        help="a finished run, an ensemble of runs, a folder made by --folder, or owner/name on the "
        "Hugging Face hub",
    )
    parser.add_argument("--onnx", type=Path, help="the .onnx file to write")
    parser.add_argument("--torch", type=Path, help="the .pt2 file to write")
    parser.add_argument("--folder", type=Path, help="the folder to write, with a model card")
    parser.add_argument(
        "--weights", choices=["last", "best"], default="last", help="which epoch of a run"
    )
    parser.add_argument(
        "--licence", default="", help="of the weights, such as cc-by-4.0, for the model card"
    )
    add_model_argument(parser)


def run(args: Namespace) -> None:
    """Open the model, write what was asked for, say what was written."""
    from shapmix.commands.opening import open_recognizer
    from shapmix.commands.overwriting import ONNX, TORCH, check_replaceable
    from shapmix.inference.pretrained import check_folder

    if not (args.onnx or args.torch or args.folder):
        raise ValueError("nothing to write: give --onnx, --torch or --folder")
    for path, kind in ((args.onnx, ONNX), (args.torch, TORCH)):
        if path is not None:
            check_replaceable(path, kind)
    if args.folder:
        check_folder(args.folder)  # before a run is opened, which takes seconds
    recognizer = open_recognizer(args.run, args.weights, licence=args.licence, model=args.model)
    if args.folder:
        recognizer.save_pretrained(args.folder)
        print(f"folder: {args.folder}")
    if args.torch:
        from shapmix.inference.export import export_torch

        export_torch(recognizer, args.torch)
        print(f"torch: {args.torch}")
    if args.onnx:
        from shapmix.inference.export import export_onnx

        difference = export_onnx(recognizer, args.onnx)
        print(f"onnx: {args.onnx} (probabilities within {difference:.1g} of torch's)")
