"""The table of results: a Parquet file with one row a task, and the same without lists as CSV.

Accuracies are fractions, NaN where a group of classes is empty. Predictions are the largest logit.
`peak_memory_mb` is the most memory that the worker process held while it worked on the task: of a
process with Python, torch and the memory-mapped archive in it, not of the model alone. Where the
system cannot tell it for one task (other than Linux) it is the most since the process started.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from shapmix.writing import atomic_file

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]

METRICS = ("top1", "mean_class", "many", "medium", "few", "head", "middle", "tail", "ece")
VALIDATION = ("val_mean_class", "val_top1")
COSTS = ("train_seconds", "clips_per_second", "peak_memory_mb")

# name -> type in the words of Arrow; in the order of the columns.
SCHEMA: dict[str, str] = {
    "key": "string",  # of the task, see `tasks`
    "suite": "string",
    "method": "string",
    "dataset": "string",
    "backbone": "string",
    "seed": "int64",
    "fold": "string",  # "" for a data set without folds
    "status": "string",  # "ok" or "failed"
    "error": "string",
    "config": "string",  # the canonical JSON of which the key is the hash
    "class_names": "list<string>",
    "class_counts": "list<int32>",  # training clips, by label
    "test_names_hash": "string",  # SHA-256 of the test clips' names in order, 16 digits
    "labels": "list<int16>",  # of the test clips
    "predictions": "list<int16>",  # of the last epoch
    "predictions_best": "list<int16>",  # of the epoch selected on validation clips, if any
    "probability": "list<float32>",  # softmax of the predicted class, last epoch
    **dict.fromkeys((*METRICS, *VALIDATION, *COSTS), "double"),  # of the last epoch
    "parameters": "int64",
    "commit": "string",
    "torch": "string",
    "machine": "string",
    "finished": "string",  # ISO 8601, UTC
}
SCALARS = tuple(name for name, kind in SCHEMA.items() if not kind.startswith("list"))


class TableError(ValueError):
    """A file is no table of results."""


@cache
def arrow_schema() -> pa.Schema:
    """`SCHEMA` for pyarrow."""
    import pyarrow as pa

    plain = {
        "string": pa.string(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "double": pa.float64(),
    }

    def of(kind: str) -> pa.DataType:
        inner = kind.removeprefix("list<").removesuffix(">")
        return plain[kind] if inner == kind else pa.list_(plain[inner])

    return pa.schema([(name, of(kind)) for name, kind in SCHEMA.items()])


def read_results(path: str | Path, columns: Iterable[str] = SCHEMA) -> pa.Table:
    """The table of results at `path`, or these columns of it; empty where there is no file.

    Raises:
        TableError: the file is damaged or has other columns, or would be its own CSV.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if Path(path).suffix == ".csv":
        raise TableError(
            f"{path}: the table is a Parquet file, with a CSV beside it; give .parquet"
        )
    names = list(columns)
    schema = pa.schema([arrow_schema().field(name) for name in names])
    try:
        # Through memory: the file may be replaced meanwhile by another process.
        table = pq.read_table(io.BytesIO(Path(path).read_bytes()), columns=names)
        return table.cast(schema)
    except FileNotFoundError:
        return schema.empty_table()
    except (pa.ArrowException, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise TableError(f"{path} is no table of benchmark results: {reason}") from error


def append_results(path: str | Path, rows: Iterable[Row]) -> None:
    """Add rows to the table and write it anew, with a CSV of its scalar columns beside it.

    Rows are merged by key: a later row takes the place of an earlier one, except that a failed one
    never takes the place of a successful one. Processes wait for one another, and a reader finds
    the old table or the new one, whole.

    Raises:
        TableError: what is at `path` is no table of results.
    """
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        old = read_results(path)
        status = dict(zip(old["key"].to_pylist(), old["status"].to_pylist(), strict=True))
        new = {row["key"]: row for row in sorted(rows, key=lambda row: row["status"] == "ok")}
        for key in [k for k, row in new.items() if row["status"] != "ok" == status.get(k)]:
            del new[key]
        kept = old.filter(pa.array([key not in new for key in status], pa.bool_()))
        table = pa.concat_tables([kept, pa.Table.from_pylist(list(new.values()), arrow_schema())])
        with atomic_file(path) as file:
            pq.write_table(table, file, compression="zstd")
        with atomic_file(path.with_suffix(".csv")) as file:
            csv.write_csv(table.select(list(SCALARS)), file)


def finished_keys(path: str | Path) -> dict[str, str]:
    """key -> status of the tasks in the table."""
    table = read_results(path, ("key", "status"))
    return dict(zip(table["key"].to_pylist(), table["status"].to_pylist(), strict=True))
