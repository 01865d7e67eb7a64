"""A suite: which methods run on which data sets, backbones and seeds. Read from YAML and checked.

    name: small
    baseline: balanced-softmax            # what the leaderboard compares with
    train: {num_frames: 32, ...}          # settings of `shapmix train`, for every run
    datasets:
      sbu:
        import: {format: sbu, source: sbu.zip, options: {metric: true}}
        split: {imbalance: 5, order: permuted}       # arguments of `make_split`
        folds: [fold1, fold2]                        # protocols; each is a task
        train: {epochs: 30}
        in_means: false                              # of the leaderboard; for the clips of another
      embedded: {synthetic: {clips_per_class: 20}}
    backbones:
      ctrgcn: {model: ctrgcn, model_options: {width: 16}}
    methods:
      ce: {mixer: none, loss: ce}
      crt: {of: ce, second_stage: {kind: crt, epochs: 5}}
    runs:
      - {methods: all, datasets: all, backbones: [ctrgcn], seeds: 3}

A setting given in several places is taken from the last of train, dataset, backbone, method;
options, which are maps, are merged. The seed of a split is that of the run, unless the split names
one. Sources lie below the folder of the data, which {data} stands for in other texts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shapmix.data.reading import reason
from shapmix.suggest import did_you_mean

Settings = Mapping[str, Any]

ALL = "all"
NAME = re.compile(r"\w[\w.+-]*")


class SuiteError(ValueError):
    """A suite is not as it must be; the text says where."""


@dataclass(frozen=True)
class DataSpec:
    """A data set: where it comes from, how it is split, what it changes in training.

    Attributes:
        format, source, options: of the importer; `source` below the folder of the data.
        synthetic: arguments of `write_synthetic`, in place of an import.
        split: arguments of `make_split`.
        folds: protocols that are a task each.
        train: settings of `shapmix train`.
        in_means: whether it counts in means over data sets and in ranks.
    """

    name: str
    format: str = ""
    source: str = ""
    options: Settings = field(default_factory=dict)
    synthetic: Settings | None = None
    split: Settings = field(default_factory=dict)
    folds: tuple[str, ...] = ()
    train: Settings = field(default_factory=dict)
    in_means: bool = True


@dataclass(frozen=True)
class Method:
    """Settings of `shapmix train`; or a second stage on the weights of the method `of`."""

    name: str
    train: Settings = field(default_factory=dict)
    of: str | None = None
    second_stage: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """Combinations to run: every method on every data set with every backbone and seed."""

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    backbones: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Suite:
    """A checked suite; see the top of the module."""

    name: str
    datasets: Mapping[str, DataSpec]
    backbones: Mapping[str, Settings]
    methods: Mapping[str, Method]
    runs: tuple[Entry, ...]
    train: Settings = field(default_factory=dict)
    baseline: str | None = None


def load_suite(path: str | Path) -> Suite:
    """Read a suite.

    Raises:
        SuiteError: it cannot be read, is no YAML, has an unknown key, or names what it does not
            define.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)  # noqa: S506  a SafeLoader
        return parse_suite(content)
    except OSError as error:
        raise SuiteError(
            f"{path} cannot be read ({reason(error)}); expected a suite, such as "
            "configs/suites/small.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is no YAML: {error}") from error
    except SuiteError as error:
        raise SuiteError(f"{path}: {error}") from error


def parse_suite(content: object) -> Suite:
    """The suite that a YAML document describes; SuiteError says what is wrong in it."""
    keys = ("name", "baseline", "train", "datasets", "backbones", "methods", "runs")
    given = _mapping(content, "the suite", keys, required=("name", *keys[3:]))
    datasets = {k: _dataset(k, v) for k, v in _named(given["datasets"], "datasets").items()}
    methods = {k: _method(k, v) for k, v in _named(given["methods"], "methods").items()}
    backbones = {
        k: _mapping(v, f"backbone {k}") for k, v in _named(given["backbones"], "backbones").items()
    }
    for method in methods.values():
        if method.of is not None:
            _check_names([method.of], methods, f"`of` of method {method.name}")
            if methods[method.of].of is not None:
                raise SuiteError(f"method {method.name} is of {method.of}, itself a second stage")
    known: dict[str, Mapping[str, Any]] = {
        "methods": methods,
        "datasets": datasets,
        "backbones": backbones,
    }
    baseline = given.get("baseline")
    if baseline is not None:
        _check_names([baseline], methods, "baseline")
    runs = given["runs"]
    if not isinstance(runs, list) or not runs:
        raise SuiteError(f"runs is {runs!r}; expected a list of combinations")
    return Suite(
        name=_name(given["name"], "name"),
        datasets=datasets,
        backbones=backbones,
        methods=methods,
        runs=tuple(_entry(i, run, known) for i, run in enumerate(runs, 1)),
        train=_mapping(given.get("train", {}), "train"),
        baseline=baseline,
    )


def _dataset(name: str, content: object) -> DataSpec:
    where = f"data set {name}"
    known = ("import", "synthetic", "split", "folds", "train", "in_means")
    given = _mapping(content, where, known)
    in_means = given.get("in_means", True)
    if type(in_means) is not bool:
        raise SuiteError(f"in_means of {where} is {in_means!r}; expected true or false")
    if ("import" in given) == ("synthetic" in given):
        raise SuiteError(f"{where} needs one of import and synthetic")
    source = _mapping(
        given.get("import", {}), f"import of {where}", ("format", "source", "options")
    )
    if "import" in given:
        for key in ("format", "source"):
            if not isinstance(source.get(key), str):
                raise SuiteError(f"import of {where} needs a {key}; found {source.get(key)!r}")
    folds = _texts(given.get("folds", []), f"folds of {where}")
    split = _mapping(given.get("split", {}), f"split of {where}")
    if folds and "protocol" in split:
        raise SuiteError(f"{where} has folds, which are protocols, and a protocol; give one")
    return DataSpec(
        name=name,
        format=source.get("format", ""),
        source=source.get("source", ""),
        options=_mapping(source.get("options", {}), f"options of {where}"),
        synthetic=_mapping(given["synthetic"], where) if "synthetic" in given else None,
        split=split,
        folds=folds,
        train=_mapping(given.get("train", {}), f"train of {where}"),
        in_means=in_means,
    )


def _method(name: str, content: object) -> Method:
    where = f"method {name}"
    given = _mapping(content, where)
    if "of" not in given and "second_stage" not in given:
        return Method(name, train=given)
    given = _mapping(given, where, ("of", "second_stage"), required=("of", "second_stage"))
    stage = _mapping(given["second_stage"], f"second_stage of {where}", required=("kind",))
    return Method(name, of=given["of"], second_stage=stage)


def _entry(number: int, content: object, known: Mapping[str, Mapping[str, Any]]) -> Entry:
    where = f"entry {number} of runs"
    given = _mapping(content, where, (*known, "seeds"), required=("seeds",))
    chosen = {}
    for what, names in known.items():
        wanted = given.get(what, ALL)
        chosen[what] = tuple(names) if wanted == ALL else _texts(wanted, f"{what} of {where}")
        _check_names(chosen[what], names, f"{what} of {where}")
    seeds = given["seeds"]
    if type(seeds) is int:
        seeds = list(range(seeds))
    if not isinstance(seeds, list) or not seeds or any(type(s) is not int or s < 0 for s in seeds):
        raise SuiteError(f"seeds of {where} is {given['seeds']!r}; expected their number or a list")
    return Entry(**chosen, seeds=tuple(seeds))


def _mapping(
    content: object,
    where: str,
    known: Sequence[str] | None = None,
    required: Collection[str] = (),
) -> dict[str, Any]:
    """A mapping of texts, with these keys if they are known."""
    if not isinstance(content, Mapping) or any(not isinstance(key, str) for key in content):
        raise SuiteError(f"{where} is {content!r}; expected a mapping of names")
    for key in content:
        if known is not None and key not in known:
            raise SuiteError(
                f"{where} has no {key!r}{did_you_mean(key, known)}; it may have {', '.join(known)}"
            )
    for key in required:
        if key not in content:
            raise SuiteError(f"{where} needs {key!r}")
    return dict(content)


def _named(content: object, where: str) -> dict[str, Any]:
    """A mapping of names, which become parts of paths."""
    given = _mapping(content, where)
    if not given:
        raise SuiteError(f"{where} is empty")
    return {_name(key, f"a name in {where}"): value for key, value in given.items()}


def _name(content: object, where: str) -> str:
    if not isinstance(content, str) or not NAME.fullmatch(content) or content == ALL:
        raise SuiteError(f"{where} is {content!r}; expected letters, digits, and . _ + - inside")
    return content


def _texts(content: object, where: str) -> tuple[str, ...]:
    if not isinstance(content, list) or any(not isinstance(x, str) for x in content):
        raise SuiteError(f"{where} is {content!r}; expected a list of names")
    return tuple(content)


def _check_names(names: Iterable[str], known: Iterable[str], where: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise SuiteError(f"{where}: no {name!r}{hint}; there are {', '.join(known)}")


class _Loader(yaml.SafeLoader):
    """YAML 1.2 numbers: `4e-4` is one; and a key given twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise SuiteError(f"{key!r} is given twice ({node.start_mark})")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"),
    list("-+.0123456789"),
)
