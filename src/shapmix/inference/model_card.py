"""The model card of a saved recogniser: what it is, how good, what for, and what not."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shapmix.inference.description import RecognizerInfo
from shapmix.layouts import Layout
from shapmix.metrics import SHOTS, class_groups
from shapmix.models import MODELS

FIGURES = {
    "top1": "accuracy",
    "top5": "accuracy, among the first five",
    "mean_class": "mean of the classes' accuracies",
    "many": "mean of classes with more than 100 training clips",
    "medium": "mean of classes with 20 to 100",
    "few": "mean of classes with fewer than 20",
    "macro_f1": "macro F1",
}


def model_card(
    layout: Layout,
    class_names: Sequence[str],
    info: RecognizerInfo,
    *,
    loader: str = "ActionRecognizer",
    network: str,
    models: Sequence[str],
) -> str:
    """`README.md` of a saved model, with the hub's metadata in its head.

    Args:
        layout: the skeleton. class_names: K names. info: the rest of what is known.
        loader: the class that loads it. network: what it is, in words.
        models: names or import paths of its networks; empty for one that only its owner can make.
    """
    test = _mapping(info.metrics, "test")
    sections = [
        _metadata(info, test),
        f"# Skeleton-based action recognition: {len(class_names)} actions",
        f"{network} Made with shapmix from {_source(info)}.",
        _use(layout, info, loader, [name for name in models if name not in MODELS]),
        _data(class_names, info),
        _quality(info, test),
        _limits(layout, info),
        f"## Licence\n\n{info.licence or 'Not stated: ask whoever published these weights.'}",
        _classes(class_names, info, test),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(info: RecognizerInfo, test: Mapping[str, Any]) -> str:
    """The head that the hub reads: YAML, of which JSON values are a part."""
    facts: dict[str, Any] = {"library_name": "shapmix"}
    if info.licence:
        facts["license"] = info.licence.lower()
    facts["tags"] = ["skeleton-based-action-recognition", "action-recognition", "long-tailed"]
    measured = [
        {"type": kind, "name": FIGURES[key], "value": round(test[key], 4)}
        for key, kind in (("top1", "accuracy"), ("macro_f1", "f1"))
        if _is_number(test.get(key))
    ]
    if measured:
        result = {
            "task": {"type": "action-recognition"},
            "dataset": {"type": "skeleton", "name": _source(info)},
            "metrics": measured,
        }
        facts["model-index"] = [{"name": info.model or "shapmix", "results": [result]}]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()]
    return "\n".join(["---", *lines, "---"])


def _use(layout: Layout, info: RecognizerInfo, loader: str, own: Sequence[str]) -> str:
    place = '"this folder, or owner/name on the hub"'
    if own:  # the code of its owner is not in the files, and does not run unasked
        place += f", model={json.dumps(','.join(own)) if all(own) else '...'}"
    shape = f"(frames, persons, {layout.num_joints}, {len(info.channels)})"
    return f"""## How to use

```python
from shapmix import {loader}

recognizer = {loader}.from_pretrained({place})
for found in recognizer.predict(keypoints)[0]:  # a NumPy array {shape}
    print(found.label, found.probability)
```

Keypoints are those of the layout {layout.name!r}, in this order: {", ".join(layout.joints)}.
Channels are {info.channels}, units {info.units or "not stated"}; a joint or person that was not
seen is zero. Clips may have any number of frames; they are cropped, resized and centred inside."""


def _data(class_names: Sequence[str], info: RecognizerInfo) -> str:
    counts = info.class_counts
    if not counts:
        return "## Training data\n\nThe numbers of training clips are not known."
    groups = class_groups(counts) if min(counts) > 0 else {}
    shots = ", ".join(f"{len(groups[name])} {name}" for name in SHOTS if name in groups)
    ratio = f", {max(counts) / max(min(counts), 1):.3g} times as many" if len(counts) > 1 else ""
    return f"""## Training data

{_source(info)}: {sum(counts)} clips of {len(class_names)} classes. The rarest class has
{min(counts)} clips, the most frequent one {max(counts)}{ratio}. Classes with many (more than 100),
medium or few (fewer than 20) clips: {shots or "not known"}."""


def _quality(info: RecognizerInfo, test: Mapping[str, Any]) -> str:
    if not test:
        return "## How good\n\nNot measured."
    intervals = _mapping(test, "intervals")
    rows = [
        f"| {words} | {_percent(test.get(key))} | {_interval(intervals.get(key))} |"
        for key, words in FIGURES.items()
        if _is_number(test.get(key))
    ]
    table = "\n".join(["| on the test clips | % | 95 % interval |", "|---|---|---|", *rows])
    calibration = _mapping(info.metrics, "calibration")
    honest = (
        f"Probabilities are calibrated: temperature {info.temperature:.3f}, fitted on "
        f"{calibration.get('clips')} validation clips."
        if calibration
        else "Probabilities are not calibrated: there were no validation clips to do it on."
    )
    return f"""## How good

{table}

{test.get("clips", "?")} test clips. The intervals are bootstrap intervals over test clips; they
know nothing of the spread over training runs. {honest}"""


def _limits(layout: Layout, info: RecognizerInfo) -> str:
    return f"""## Intended use and limits

For recognising the actions listed below in recordings like those it was trained on: the same
sensor or pose estimator, skeleton ({layout.name}), units and kind of scene. It always names one of
its own actions, also for movements that are none of them: leave unsure clips out by their
probability. Classes with few training clips are recognised less reliably; look at the table of
classes before relying on one. It was not tested for other groups of people than those in its data,
and is not meant for decisions about people's health, safety or rights, nor for surveillance."""


def _classes(class_names: Sequence[str], info: RecognizerInfo, test: Mapping[str, Any]) -> str:
    found = test.get("per_class")
    rows = [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
    accuracy = {str(row.get("label")): row.get("accuracy") for row in rows}
    counts = info.class_counts or ("?",) * len(class_names)
    lines = [
        f"| {k} | {_cell(name)} | {count} | {_percent(accuracy.get(str(k)))} |"
        for k, (name, count) in enumerate(zip(class_names, counts, strict=True))
    ]
    head = "| | class | training clips | test accuracy, % |\n|---|---|---|---|"
    return "\n".join(["## Classes", "", head, *lines])


def _source(info: RecognizerInfo) -> str:
    return " ".join(info.source.split()) or "a data set that was not named"


def _mapping(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _percent(value: Any) -> str:
    return f"{100 * value:.1f}" if _is_number(value) else "n/a"


def _interval(value: Any) -> str:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return "n/a"
    return f"{_percent(value[0])} to {_percent(value[1])}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
