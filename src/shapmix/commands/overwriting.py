"""A command replaces only a file of the kind that it writes itself, whatever name it is given.

Every kind says in the file what it is: a split and a page that they are of shapmix, a model that it
was exported by it. A file that does not say so may be anybody's only copy.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_LOOKED_AT = 2**20  # bytes, from the beginning and from the end


class Kind(NamedTuple):
    """What a command writes: what it is called, and what its beginning or its end has."""

    name: str
    mark: re.Pattern[bytes]


def _kind(name: str, mark: bytes) -> Kind:
    return Kind(name, re.compile(mark, re.DOTALL))


_ANSWER = rb'\{"clip": "[^\n]*?", "(predictions|start_frame)": '
SPLIT = _kind("split", rb'\A\s*\{[^{}]*"format":\s*"shapmix split"')
PAGE = _kind("page of shapmix", rb'\A<!doctype html>.*<meta name="generator" content="shapmix ')
REPORT = _kind("report of an import", rb'\A\{\s*"strict": (true|false),\s*"most_clips": ')
_HEADER = rb"clip,(label_1,probability_1|start_frame,end_frame),"
PREDICTIONS = _kind("list of predictions", rb"\A(%b|(\[\s+)?%b|\[\]\s*\Z)" % (_HEADER, _ANSWER))
PICTURE = _kind("picture of shapmix", rb"\A(\x89PNG|GIF8|%PDF-|<\?xml).*shapmix")
ONNX = _kind("model exported to ONNX", rb"\A\x08.*shapmix\.class_names")
TORCH = _kind("model exported for torch", rb"\APK.*shapmix\.json")


def check_replaceable(path: Path, kind: Kind) -> None:
    """Make sure that nothing is lost when a file is written.

    Raises:
        ValueError: there is something of this name, and it is no empty file nor one of this kind.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of the file to write")
    if not path.exists():
        return
    if not path.is_file() or not _is(path, kind):
        raise ValueError(
            f"{path} exists and is no {kind.name}, so it is not replaced: give another name for "
            "what is written, or move it away"
        )


def _is(path: Path, kind: Kind) -> bool:
    with path.open("rb") as file:
        looked_at = file.read(_LOOKED_AT)
        if (rest := path.stat().st_size - len(looked_at)) > 0:
            file.seek(max(-rest, -_LOOKED_AT), 2)
            looked_at += file.read()
    return not looked_at or kind.mark.search(looked_at) is not None
