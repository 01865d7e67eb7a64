"""Explain a trained model: which parts of the body carry a clip, or a class.

    shapmix explain RUN                           all classes, the rarest first
    shapmix explain RUN --class throw             one class: the mean over its test clips
    shapmix explain RUN --clip a11_s01_e01_v01    one clip, about what the model takes it for
    shapmix explain RUN --clip a11_s01_e01_v01 --about throw --out throw.gif

Every subset of the parts is shown to the model, the other parts replaced by the mean clip; from the
probabilities follow the exact Shapley values of parts, of coalitions, and the interactions of
pairs. A part with value +0.20 raises the probability of the class by 20 points on average; the
values of all parts add up to what all of them add to none. Means over clips have standard errors.

RUN is a run folder, whose test clips are explained (--clip: any clip of its archive); or a saved
model with --source, an archive or a file of a format that `shapmix predict` recognises.

--out draws it: .png, .svg, .pdf, or .gif, in which the clip moves; orange parts speak for the
class, blue ones against it. A class is shown on its most probable clip.

--json prints one object: "format" (1), "kind" ("clip", "class" or "overview"), "model", "layout";
of a clip, "clip" (its name, true and predicted class); of an overview, a list "without_clips" of
names of classes that cannot be explained, and a list "classes" of objects, else at the same place:

    class, label, train_clips, clips    which class, and over how many clips
    v_full, v_empty     its mean probability with all parts, and with none
    parts               [{name, joints, value, error}], errors null with fewer than two clips
    coalitions          [{parts, value, error}] of all subsets but the empty one
    interactions        [{parts, value, error}] of all pairs: what two tell beyond each alone
    efficiency          {sum_of_parts, v_full_minus_v_empty, holds}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from shapmix.commands.opening import add_device_argument, add_model_argument

if TYPE_CHECKING:
    from shapmix.commands.explaining import Example
    from shapmix.inference.explain import Explanation
    from shapmix.inference.recognizer import ActionRecognizer

    Entry = dict[str, Any]

HELP = "explain which parts of the body carry a clip or a class"
FORMAT = 1
MOST_NAMED = 10  # classes in a line
OF_A_CLASS, OF_EACH_CLASS = 50, 8  # clips, when --most is not given


def add_arguments(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Arguments of the command."""
    parser.add_argument("run", help="a run folder, or a saved model with --source")
    parser.add_argument("--clip", type=str | None, help="explain the clip of this name")
    parser.add_argument("--class", type=str | None, help="explain the class of this name or number")
    parser.add_argument(
        "--about", type=str | None, help="of a clip: the class in question; the likeliest if not"
    )
    parser.add_argument("--source", type=Path | None, help="clips other than those of the run")
    parser.add_argument(
        "--most",
        type=int | None,
        help=f"clips of a class; {OF_A_CLASS} of one, {OF_EACH_CLASS} of each of all",
    )
    parser.add_argument("--out", type=Path | None, help="a .png, .svg, .pdf or .gif file to draw")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_device_argument(parser)
    add_model_argument(parser)


def run(args: Namespace) -> None:
    """Explain, print, draw."""
    from shapmix.commands.explaining import (
        Wanted,
        examples_of_run,
        examples_of_source,
        open_explainable,
    )

    _check(args)
    model = open_explainable(args.run, args.device, args.model)
    label = None if args["class"] is None else _label(args["class"], model)
    most = args.most or (OF_EACH_CLASS if label is None else OF_A_CLASS)
    wanted = Wanted(args.clip, label, most)
    if args.source is None:
        examples = examples_of_run(Path(args.run), wanted)
    else:
        examples = examples_of_source(args.source, model, wanted)
    head = {"model": args.run, "layout": model.layout.name}
    if args.clip is not None or (label is None and args.source and len(examples) == 1):
        _explain_clip(args, model, examples[0], head)
    elif args.about is not None and examples:
        raise ValueError(
            f"--about is of a clip, but {args.source} has several, such as {examples[0].name!r}: "
            "name one by --clip"
        )
    else:
        _explain_classes(args, model, [e for e in examples if e.label is not None], label, head)
    if args.out is not None and not args.json:
        print(f"drawn: {args.out}")


def _check(args: Namespace) -> None:
    """ValueError for options that do not go together."""
    if args.clip is not None and args["class"] is not None:
        raise ValueError("--clip and --class do not go together: leave one of them out")
    is_about_clip = args.clip is not None or (args.source is not None and args["class"] is None)
    if args.about is not None and not is_about_clip:
        raise ValueError("--about is of a clip: name it by --clip")
    if args.most is not None and args.most < 1:
        raise ValueError(f"--most is {args.most}; expected 1 or more")
    if args.out is not None:
        from shapmix.commands.overwriting import PICTURE, check_replaceable
        from shapmix.reporting.explanation_pictures import check_path

        check_path(args.out, moving=is_about_clip or args["class"] is not None)
        check_replaceable(args.out, PICTURE)


def _label(word: str, model: ActionRecognizer) -> int:
    """The class of this name or number."""
    from shapmix.inference.recognizer import class_index

    is_number = word not in model.class_names and word.isascii() and word.isdigit()
    return class_index(int(word) if is_number else word, model.class_names)


def _explain_clip(args: Namespace, model: ActionRecognizer, example: Example, head: Entry) -> None:
    """One clip, about one class."""
    found = model.explain(example.keypoints)
    probabilities = found.values[:, -1]
    best = int(probabilities.argmax())
    about = best if args.about is None else _label(args.about, model)
    names, true = model.class_names, example.label
    clip = {
        "name": example.name,
        "label": true,
        "class": None if true is None else names[true],
        "predicted_label": best,
        "predicted_class": names[best],
        "probability": round(float(probabilities[best]), 6),
    }
    entry = _entry(model, found, about)
    subtitle = f"{example.name}: predicted {names[best]} ({100 * float(probabilities[best]):.1f} %)"
    subtitle += f", truly {names[true]}" if true is not None else ""
    _show(args, {"format": FORMAT, "kind": "clip", **head, "clip": clip, **entry}, entry, subtitle)
    if args.out is not None:
        title = f"{names[about]}: {100 * entry['v_full']:.1f} %"
        _draw(args.out, model, example, entry, title, subtitle)


def _explain_classes(
    args: Namespace,
    model: ActionRecognizer,
    examples: Sequence[Example],
    label: int | None,
    head: Entry,
) -> None:
    """The mean over clips of one class, or of each of all classes."""
    from shapmix.commands.explaining import explain_examples
    from shapmix.data.findings import counted

    if not examples:
        what = "any class" if label is None else f"class {model.class_names[label]!r}"
        raise ValueError(
            f"there is no clip of {what} to explain: name a clip by --clip, or give others, with "
            "their classes, by --source"
        )
    labels = [example.label for example in examples if example.label is not None]
    found = explain_examples(model, examples, labels)
    if label is None:
        _explain_all(args, model, found, head)
        return
    entry = _entry(model, found, label)
    subtitle = f"mean over {counted(entry['clips'], 'clip')}"
    _show(args, {"format": FORMAT, "kind": "class", **head, **entry}, entry, subtitle)
    if args.out is not None:
        shown = examples[int(found.clip_values[:, -1].argmax())]
        title = f"{model.class_names[label]}: {100 * entry['v_full']:.1f} % on average"
        _draw(args.out, model, shown, entry, title, f"{subtitle}, shown on {shown.name}")


def _explain_all(args: Namespace, model: ActionRecognizer, found: Explanation, head: Entry) -> None:
    """All classes that have clips, those with the fewest training clips first."""
    from rich.console import Console

    from shapmix.reporting.explanation_pictures import write_overview
    from shapmix.reporting.explanation_tables import overview_table

    entries = [_entry(model, found, k) for k in found.clips.nonzero().flatten().tolist()]
    entries.sort(key=lambda entry: entry["train_clips"] or 0)
    absent = [model.class_names[k] for k in (found.clips == 0).nonzero().flatten().tolist()]
    title = f"{args.run}: what each part does for its class"
    if args.json:
        lists = {"classes": entries, "without_clips": absent}
        print(json.dumps({"format": FORMAT, "kind": "overview", **head, **lists}, indent=1))
    else:
        table = overview_table(title, entries)
        Console().print(replace(table, notes=(*table.notes, *_told_absent(absent))))
    if args.out is not None:
        values = [[part["value"] for part in entry["parts"]] for entry in entries]
        names = [entry["class"] for entry in entries]
        write_overview(args.out, title, values, names, model.layout.part_names)


def _told_absent(names: Sequence[str]) -> Iterator[str]:
    """A line on the classes that cannot be explained, if there are any."""
    if not names:
        return
    listed = ", ".join(names[:MOST_NAMED])
    listed += f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    yield f"Left out, for there are no clips of them to explain: {listed}."


def _entry(model: ActionRecognizer, found: Explanation, label: int) -> Entry:
    """What is said of one class."""
    from shapmix.inference.explanation_json import explanation_json

    counts = model.info.class_counts
    about = {
        "class": model.class_names[label],
        "label": label,
        "train_clips": counts[label] if counts else None,
    }
    return {**about, **explanation_json(found, label)}


def _show(args: Namespace, whole: Entry, entry: Entry, subtitle: str) -> None:
    """Print tables, or JSON."""
    if args.json:
        print(json.dumps(whole, indent=1))
        return
    from rich.console import Console

    from shapmix.reporting.explanation_tables import (
        coalitions_table,
        interactions_table,
        parts_table,
    )

    title = f"{subtitle}\nWhat each part does for {entry['class']!r}, in percentage points"
    for table in (parts_table(title, entry), coalitions_table(entry), interactions_table(entry)):
        Console().print(table)


def _draw(
    path: Path, model: ActionRecognizer, example: Example, entry: Entry, title: str, subtitle: str
) -> None:
    """Write the picture of one clip."""
    import numpy as np

    from shapmix.layouts.upright import up_of_clip
    from shapmix.reporting.explanation_pictures import Pictured, write_picture
    from shapmix.reporting.explanation_tables import best_coalitions

    has_score = model.info.channels == "xyc"
    coordinates = example.keypoints[..., :2] if has_score else example.keypoints
    shown = Pictured(
        title=title,
        subtitle=subtitle,
        keypoints=example.keypoints,
        layout=model.layout,
        up=up_of_clip(coordinates, model.layout),
        has_score=has_score,
        parts={part["name"]: part["value"] for part in entry["parts"]},
        errors=[np.nan if p["error"] is None else p["error"] for p in entry["parts"]],
        together={" + ".join(each["parts"]): each["value"] for each in best_coalitions(entry)},
        fps=example.fps,
    )
    write_picture(path, shown)
