"""Names of clips from their files, and labels beside them: names of folders, or a CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import keyword
import re
import unicodedata
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shapmix.data.clip import BUILT_IN_COLUMNS, ClipError
from shapmix.data.importers.base import MIB, ImportReport, SourceError
from shapmix.data.reading import reason
from shapmix.suggest import composed, did_you_mean

MAX_BYTES = 32 * MIB
SEPARATORS = ",;\t"
HOW = (
    "put each clip into a folder named after its class, or give --labels labels.csv with the "
    "columns clip and label"
)
OWN = ("clip", "label")
NO_LABELS = "none"  # in place of a CSV: the source has no labels, or nobody asks for them
UNLABELLED = "unlabelled"  # the label of all its clips then
MISSING = ("", "nan", "na", "n/a", "null", "none", "<na>")  # among numbers, in lower case
# Columns in which pandas writes the numbers of the rows.
INDEX = re.compile(r"|Unnamed: \d+(_level_\d+|\.\d+)?|__index_level_\d+__")

Metadata = Mapping[str, int | str | None]


@dataclass(frozen=True)
class Labels:
    """What is known of each clip beside its file; see `find_labels`.

    Attributes:
        values: all labels that occur, sorted; ids are text here too (`classes.find_classes`).
        columns: metadata column -> int or str.
        unused: clips of the CSV that are none of the files.
    """

    values: tuple[str, ...]
    columns: Mapping[str, type[int] | type[str]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    _rows: Mapping[str, Sequence[str]] | None = None  # of the CSV, label first; None: folders tell
    _named: Mapping[str, str | None] = field(default_factory=dict)  # file -> clip of the CSV
    _hints: Mapping[str, str] = field(default_factory=dict)  # for a first file without a label
    _of_all: str | None = None  # the one label of all clips

    def of(self, clip: str) -> str:
        """Label of the clip of this path in the source; ClipError when it has none."""
        if self._of_all is not None:
            return self._of_all
        row = self._row(clip)
        label = folder_label(clip) if self._rows is None else row[0] if row else None
        if label is None:
            raise ClipError("no label", clip, f"it has no label{self._hints.get(clip, '')}; {HOW}")
        return label

    @property
    def stamp(self) -> str:
        """Changes with the labels and the metadata."""
        known = repr((self.values, self._rows, self.columns))
        return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()

    def metadata(self, clip: str) -> Metadata:
        """Metadata of the clip of this path in the source, whose label is known."""
        values = (self._row(clip) or ())[1:]
        kinds = zip(self.columns.items(), values, strict=bool(values))
        return {name: typed(value, kind) for (name, kind), value in kinds}

    def check_used(self) -> None:
        """SourceError when the CSV names clips and none of them is a file."""
        if self.unused and not any(self._named.values()):
            first, hint = next(iter(self._hints.items()), ("none", ""))
            raise SourceError(
                f"the labels name clips such as {self.unused[0]!r}, none of which is there; the "
                f"first without a label is {first!r}{hint}"
            )

    def note_unused(self, report: ImportReport) -> None:
        """Tell a report the clips of the CSV that are none of the files."""
        for clip in self.unused:
            report.repair("labels of clips that are not there left out", clip)

    def _row(self, clip: str) -> Sequence[str] | None:
        rows = self._rows or {}
        if clip in self._named:
            named = self._named[clip]
            return None if named is None else rows[named]
        # A clip within a file, which nobody knew when the source was opened.
        return next((rows[key] for key in _spellings(clip) if key in rows), None)


def find_labels(files: Sequence[str], labels_csv: str | None) -> Labels:
    """The labels of clips, from a CSV when one is given and from the names of folders otherwise.

    Args:
        files: paths of the clips in the source, "/" between folders.
        labels_csv: has the columns clip and label; further ones are metadata. It names clips by
            their path in the source or, where only one file has it, their file name, with or
            without extension; the separator is a comma, a semicolon or a tab; the encoding UTF-8.
            With "none", all clips have the label "unlabelled".

    Raises:
        SourceError: the CSV cannot be read, lacks a column or a value, labels a clip twice, or
            names one by a file name that several files have; without one, no clip lies in a folder.
    """
    if labels_csv == NO_LABELS:
        return Labels((UNLABELLED,), _of_all=UNLABELLED)
    if labels_csv is not None:
        columns, rows = _read_csv(labels_csv)
        matches = _match(files, rows, labels_csv)
        named = {file: matches.get(file) for file in files}
        unused = tuple(sorted(set(rows) - set(matches.values())))
        first = next((file for file in files if file not in matches), None)
        hints = {} if first is None else {first: _hint(first, unused)}
        values = tuple(sorted({row[0] for row in rows.values()}))
        return Labels(values, columns, unused, rows, named, hints)
    folders = {label for name in files if (label := folder_label(name)) is not None}
    if not folders:
        raise SourceError(f"the clips have no labels; {HOW}")
    for label in folders:
        if any("\ud800" <= c <= "\udfff" for c in label):  # bytes that are no UTF-8
            raise SourceError(f"the folder name {label!r} is not UTF-8 text; rename the folder")
    return Labels(tuple(sorted(folders)))


def _spellings(file: str) -> tuple[str, str, str, str]:
    """How a CSV may name a clip: by path or by name, with or without extension."""
    clip = composed(file)
    path = PurePosixPath(clip)
    return clip, clip.removesuffix(path.suffix), path.name, path.stem


def _match(files: Sequence[str], clips: Container[str], path: str) -> dict[str, str]:
    """File -> how the CSV names it; paths go before names."""
    named: dict[str, str] = {}
    rest = [(file, _spellings(file)) for file in files]
    for level in range(4):
        claims: dict[str, list[str]] = {}
        taken = set(named.values())
        for file, spellings in rest:
            if spellings[level] in clips and spellings[level] not in taken:
                claims.setdefault(spellings[level], []).append(file)
        for clip, several in claims.items():
            if len(several) > 1:
                raise SourceError(
                    f"{path} names the clip {clip!r}, which may be {several[0]!r} or "
                    f"{several[1]!r}; name clips by their path in the source"
                )
            named[several[0]] = clip
        rest = [(file, spellings) for file, spellings in rest if file not in named]
    return named


def _hint(file: str, clips: Collection[str]) -> str:
    few = clips if len(clips) <= 1000 else ()  # among very many, looking takes seconds
    return did_you_mean(PurePosixPath(file).stem, few) or did_you_mean(file, few)


def folder_label(name: str) -> str | None:
    """The folder of a file in the source, composed; None for a file at the top."""
    return composed(PurePosixPath(name).parent.name) or None


def clip_names(files: Sequence[str]) -> dict[str, str]:
    """File -> name of its clip: without folders and extension; with folders where names repeat.

    Files keep the names by which they are opened; those of clips are composed (Unicode's NFC).
    """
    stems = {name: composed(PurePosixPath(name).stem or name) for name in files}
    if len(set(stems.values())) == len(stems):
        return stems
    return {name: composed(name.removesuffix(PurePosixPath(name).suffix)) for name in files}


def sniff_separator(header: str) -> str:
    """The separator that a header line has most of: comma, semicolon or tab."""
    return max(SEPARATORS, key=header.count)


def column_type(values: Collection[str]) -> type[int] | type[str]:
    """int where all values are plain whole numbers but those that are missing, else str."""
    numbers = [value for value in values if value.lower() not in MISSING]
    return int if numbers and all(as_int(value) is not None for value in numbers) else str


def typed(value: str, kind: type[int] | type[str]) -> int | str | None:
    """A value of a column of this type, None where it is missing: in a text only "" is."""
    return as_int(value) if kind is int else value or None


def as_int(value: str) -> int | None:
    """The whole number of 64 bits that a text is, as it is usually written; None for other texts.

    "7" and "7.0" are numbers (pandas makes floats of a column in which a value is missing), "007"
    is text.
    """
    match = re.fullmatch(r"(0|-?[1-9][0-9]{0,17})(\.0*)?", value)
    return int(match[1]) if match else None


def metadata_names(columns: Iterable[str]) -> dict[str, str]:
    """Column -> its name as metadata: "video path" is kept as video_path, "name" as name_.

    In the form that names have in an expression, where Python makes them NFKC.

    Raises:
        SourceError: two columns would have one name.
    """
    names: dict[str, str] = {}
    for column in columns:
        plain = unicodedata.normalize("NFKC", column)
        name = re.sub(r"\W+", "_", plain).strip("_") or "column"
        name = f"_{name}" if name[0].isdecimal() else name
        if not name.isidentifier() or keyword.iskeyword(name) or name in BUILT_IN_COLUMNS:
            name = f"{name}_"
        if name in names.values():
            raise SourceError(f"two columns would be called {name!r}, one of them {column!r}")
        names[column] = name
    return names


def known_name(column: str, known: Collection[str], columns: Collection[str]) -> str:
    """One of the known names for a column that differs from it in case or outer space only."""
    name = column.strip()
    plain = name.lower()
    return plain if plain in known and plain not in columns else name


def _read_csv(path: str) -> tuple[dict[str, type[int] | type[str]], dict[str, tuple[str, ...]]]:
    """Types of the metadata columns; clip -> its label, then its metadata in their order."""
    header, rows = _rows(path)
    clip, label = map(header.index, OWN)
    kept = [at for at, name in enumerate(header) if name not in OWN and not INDEX.fullmatch(name)]
    names = metadata_names(header[at] for at in kept)
    columns = {names[header[at]]: column_type({row[at] for row in rows}) for at in kept}
    by_clip: dict[str, tuple[str, ...]] = {}
    for row in rows:
        its = (row[label], *(row[at] for at in kept))
        if by_clip.setdefault(row[clip], its)[0] != its[0]:
            raise SourceError(
                f"{path} labels the clip {row[clip]!r} twice, {by_clip[row[clip]][0]!r} and "
                f"{row[label]!r}; a clip has one class here: keep its main label"
            )
    return columns, by_clip


def _text(path: Path) -> str:
    size = path.stat().st_size
    if not path.is_file() and not path.is_dir():  # a pipe would block
        raise OSError("it is not a regular file")
    if size > MAX_BYTES:
        raise OSError(f"it has {size / MIB:.0f} MiB, expected at most {MAX_BYTES // MIB}")
    return composed(path.read_text(encoding="utf-8-sig"))


def _rows(path: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV: at least one, with all columns, clip and label not empty."""
    try:
        text = _text(Path(path))
        reader = csv.reader(io.StringIO(text), delimiter=sniff_separator(text.partition("\n")[0]))
        found = next(reader, [])
        header = [known_name(name, OWN, found) for name in found]
        rows = [([v.strip() for v in values], reader.line_num) for values in reader if values]
    except FileNotFoundError:
        raise SourceError(
            f"there is no file {path} for the labels; --labels is a CSV with the columns clip and "
            f"label, or {NO_LABELS}"
        ) from None
    except (OSError, ValueError, csv.Error) as error:
        coded = '; save it with encoding="utf-8"' if isinstance(error, UnicodeError) else ""
        raise SourceError(f"cannot read the labels in {path}: {reason(error)}{coded}") from error
    for column in OWN:
        if column not in header:
            listed = ", ".join(header) + did_you_mean(column, header)
            raise SourceError(f"{path} has no column {column!r}; it has the columns {listed}")
    if len(set(header)) != len(header):
        raise SourceError(f"{path} names a column twice: {', '.join(header)}")
    for values, line in rows:
        if len(values) != len(header):
            raise SourceError(f"{path}, line {line}: {len(values)} values, {len(header)} columns")
        if not all(values[header.index(column)] for column in OWN):
            raise SourceError(f"{path}, line {line}: clip or label is empty")
    if not rows:
        raise SourceError(f"{path} has no row below its header")
    return header, [values for values, _ in rows]
