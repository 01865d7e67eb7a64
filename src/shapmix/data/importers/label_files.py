"""Names of clips from their files, and labels beside them: names of folders, or a CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shapmix.data.clip import BUILT_IN_COLUMNS, ClipError
from shapmix.data.importers.base import MIB, SourceError
from shapmix.suggest import did_you_mean

MAX_BYTES = 256 * MIB
SEPARATORS = ",;\t"
HOW = (
    "put each clip into a folder named after its class, or give --labels labels.csv with the "
    "columns clip and label"
)

Metadata = Mapping[str, int | str]


@dataclass(frozen=True)
class Labels:
    """What is known of each clip beside its file; see `find_labels`.

    Attributes:
        values: all labels that occur, sorted; ids are text here too (`classes.find_classes`).
        columns: metadata column -> int or str.
    """

    values: tuple[str, ...]
    columns: Mapping[str, type[int] | type[str]] = field(default_factory=dict)
    _labels: Mapping[str, str] | None = None  # by clip; None: the folders tell
    _metadata: Mapping[str, Metadata] = field(default_factory=dict)

    def of(self, clip: str) -> str:
        """Label of the clip of this path in the source; ClipError when it has none."""
        key = self._key(clip)
        label = folder_label(clip) if self._labels is None else self._labels.get(key)
        if label is None:
            few = self._labels if self._labels and len(self._labels) <= 1000 else ()
            hint = did_you_mean(key, few)  # among very many, looking takes seconds a clip
            raise ClipError("no label", clip, f"it has no label{hint}; {HOW}")
        return label

    @property
    def stamp(self) -> str:
        """Changes with the labels and the metadata."""
        known = repr((self.values, self._labels, self._metadata))
        return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()

    def metadata(self, clip: str) -> Metadata:
        """Metadata of the clip of this path in the source, whose label is known."""
        return self._metadata.get(self._key(clip), {})

    def _key(self, clip: str) -> str:
        """A CSV names clips by path or by name, with or without extension."""
        path = PurePosixPath(clip)
        keys = (clip, clip.removesuffix(path.suffix), path.name, path.stem)
        return next((key for key in keys if key in (self._labels or {})), path.stem)


def find_labels(files: Sequence[str], labels_csv: str | None) -> Labels:
    """The labels of clips, from a CSV when one is given and from the names of folders otherwise.

    Args:
        files: paths of the clips in the source, "/" between folders.
        labels_csv: has the columns clip and label; further ones are metadata. It names clips by
            their path in the source or their file name, with or without extension; the separator
            is a comma, a semicolon or a tab; the encoding UTF-8.

    Raises:
        SourceError: the CSV cannot be read, lacks a column or a value, or labels a clip twice;
            without one, no clip lies in a folder.
    """
    if labels_csv is not None:
        rows = _rows(labels_csv)
        labels = _by_clip(rows, labels_csv)
        columns = column_types({k: [r[k] for r in rows] for k in rows[0] if k not in _OWN})
        metadata = {
            row["clip"]: {name: kind(row[name]) for name, kind in columns.items()} for row in rows
        }
        return Labels(tuple(sorted(set(labels.values()))), columns, labels, metadata)
    values = {label for name in files if (label := folder_label(name)) is not None}
    if not values:
        raise SourceError(f"the clips have no labels; {HOW}")
    for label in values:
        if any("\ud800" <= c <= "\udfff" for c in label):  # bytes that are no UTF-8
            raise SourceError(f"the folder name {label!r} is not UTF-8 text; rename the folder")
    return Labels(tuple(sorted(values)))


def folder_label(name: str) -> str | None:
    """The folder of a file in the source; None for a file at the top."""
    return PurePosixPath(name).parent.name or None


def clip_names(files: Sequence[str]) -> dict[str, str]:
    """File -> name of its clip: without folders and extension; with folders where names repeat."""
    stems = {name: PurePosixPath(name).stem or name for name in files}
    if len(set(stems.values())) == len(stems):
        return stems
    return {name: name.removesuffix(PurePosixPath(name).suffix) for name in files}


def sniff_separator(header: str) -> str:
    """The separator that a header line has most of: comma, semicolon or tab."""
    return max(SEPARATORS, key=header.count)


def column_types(columns: Mapping[str, Iterable[str]]) -> dict[str, type[int] | type[str]]:
    """int for the columns of which all values are plain whole numbers, else str.

    Raises:
        SourceError: a column cannot be a metadata column by its name.
    """
    check_metadata_names(columns)
    return {name: int if all(map(is_int, values)) else str for name, values in columns.items()}


def is_int(value: str) -> bool:
    """Whether a text is a whole number of 64 bits as it is usually written ("007" is text)."""
    return bool(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value))


def check_metadata_names(names: Iterable[str]) -> None:
    """SourceError when a column cannot be a metadata column by its name."""
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name in BUILT_IN_COLUMNS:
            other = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "column"
            other += "_" if other in BUILT_IN_COLUMNS or not other.isidentifier() else ""
            raise SourceError(
                f"the column {name!r} cannot be kept as metadata: a name has letters, digits and "
                f"_ and is none of {', '.join(BUILT_IN_COLUMNS)}; rename it, to {other!r} perhaps"
            )


_OWN = ("clip", "label")


def _rows(path: str) -> list[dict[str, str]]:
    """The rows of a CSV: at least one, each with all columns, clip and label not empty."""
    try:
        if not Path(path).is_file() or Path(path).stat().st_size > MAX_BYTES:
            raise OSError(f"it is no file of at most {MAX_BYTES // MIB} MiB")
        text = Path(path).read_text(encoding="utf-8-sig")
        reader = csv.reader(io.StringIO(text), delimiter=sniff_separator(text.partition("\n")[0]))
        header = [name.strip() for name in next(reader, [])]
        rows = [([v.strip() for v in values], reader.line_num) for values in reader if values]
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"cannot read the labels in {path}: {error}") from error
    for column in _OWN:
        if column not in header:
            found = ", ".join(header) + did_you_mean(column, header)
            raise SourceError(f"{path} has no column {column!r}; it has the columns {found}")
    if len(set(header)) != len(header):
        raise SourceError(f"{path} names a column twice: {', '.join(header)}")
    for values, line in rows:
        if len(values) != len(header):
            raise SourceError(f"{path}, line {line}: {len(values)} values, {len(header)} columns")
        if not all(values[header.index(column)] for column in _OWN):
            raise SourceError(f"{path}, line {line}: clip or label is empty")
    if not rows:
        raise SourceError(f"{path} has no row below its header")
    return [dict(zip(header, values, strict=True)) for values, _ in rows]


def _by_clip(rows: Sequence[Mapping[str, str]], path: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for row in rows:
        clip, label = row["clip"], row["label"]
        if labels.setdefault(clip, label) != label:
            raise SourceError(
                f"{path} labels the clip {clip!r} twice, {labels[clip]!r} and {label!r}; a clip "
                "has one class here: keep its main label"
            )
    return labels
