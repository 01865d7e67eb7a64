"""Figures for print: what they show, and the files that they become."""

import re
import struct
import zlib

import numpy as np
import pytest
from run_folders import COUNTS, NAMES, write_run
from shown_runs import SOURCE, WINDOW, write_shown_run

from shapmix.commands.cli import main
from shapmix.layouts import get_layout
from shapmix.reporting.figures import FIGURES, accuracy, mixes, saliency, write_figures
from shapmix.reporting.figures.paper import COLOURS, WIDTHS, diverging, print_style
from shapmix.reporting.report.classes import trend
from shapmix.reporting.report.inputs import load_inputs, methods_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_shown_run(tmp_path_factory.mktemp("folder") / "run")


@pytest.fixture(scope="module")
def pdfs(folder, tmp_path_factory):
    return write_figures([folder], tmp_path_factory.mktemp("pdfs"))


@pytest.fixture
def methods(tmp_path):
    """A baseline and two seeds of another method."""
    folders = [
        write_shown_run(tmp_path / "ce", signal=1.0, mixer="none", loss="ce"),
        write_shown_run(tmp_path / "mix-0"),
        write_shown_run(tmp_path / "mix-1", seed=1),
    ]
    return methods_of(load_inputs(folders))


@pytest.fixture(autouse=True)
def style():
    with print_style():
        yield


def pdf_streams(content):
    """The file with its compressed streams unpacked."""
    parts = [content]
    for match in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            parts.append(zlib.decompress(match[1]))
        except zlib.error:
            continue
    return b"\n".join(parts)


# ---- files


def test_every_figure_is_written_and_named(pdfs):
    assert [path.name for path in pdfs.files] == [f"{name}.pdf" for name in FIGURES]
    assert pdfs.left_out == ()
    assert set(pdfs.files[0].parent.iterdir()) == set(pdfs.files)


def test_pdf_has_true_type_fonts_and_no_others(pdfs):
    for path in pdfs.files:
        content = pdf_streams(path.read_bytes())
        assert b"/FontFile2" in content, path.name  # an embedded TrueType font
        assert b"/Type3" not in content, path.name
        assert b"/CreationDate" not in content, path.name


def test_svg_needs_no_font(folder, tmp_path):
    for path in write_figures([folder], tmp_path, kind="svg", only=["groups", "mix"]).files:
        text = path.read_text()
        assert "<text" not in text, path.name  # letters are shapes: no font is needed
        assert "<dc:date>" not in text, path.name


def test_equal_runs_give_equal_files(folder, pdfs, tmp_path):
    for path in write_figures([folder], tmp_path).files:
        assert path.read_bytes() == (pdfs.files[0].parent / path.name).read_bytes(), path.name


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_runs_give_equal_files_of_other_kinds(folder, tmp_path, kind):
    one, other = (
        write_figures([folder], tmp_path / out, kind=kind, only=["bodies"]).files[0].read_bytes()
        for out in ("one", "other")
    )
    assert one == other


def test_columns(folder, tmp_path):
    for columns, inches in WIDTHS.items():
        only = ["groups", "coalitions"]
        written = write_figures([folder], tmp_path, kind="png", columns=columns, only=only)
        for path in written.files:
            width, _ = struct.unpack(">II", path.read_bytes()[16:24])
            assert width == round(300 * inches)


def test_methods_have_files_of_their_own(tmp_path):
    folders = [
        write_shown_run(tmp_path / "a", mixer="none"),
        write_shown_run(tmp_path / "b", mixer="none", seed=1),
        write_shown_run(tmp_path / "c"),
    ]
    written = write_figures(folders, tmp_path / "out", only=["groups", "confusion"])
    assert [path.name for path in written.files] == [
        "groups.pdf",
        "confusion-no-mixing.pdf",
        "confusion-shapmix.pdf",
    ]


def test_what_a_run_lacks_is_left_out_with_the_reason(tmp_path):
    bare = write_run(tmp_path / "bare", saliency=False)
    written = write_figures([bare], tmp_path / "out")
    made = {path.stem for path in written.files}
    assert made == {"accuracy", "groups", "reliability", "confusion"}
    assert [text.partition(":")[0] for text in written.left_out] == [
        name for name in FIGURES if name not in made
    ]
    assert "has no explanation.npz" in "\n".join(written.left_out)


def test_unknown_names(folder, tmp_path):
    with pytest.raises(ValueError, match=r"no figure 'groop' \(did you mean 'groups'"):
        write_figures([folder], tmp_path, only=["groop"])
    with pytest.raises(ValueError, match=r"no class 'drnk' \(did you mean 'drink'"):
        write_figures([folder], tmp_path, classes=["drnk"])


def test_many_classes_have_no_names(tmp_path):
    counts = np.geomspace(600, 6, 90).astype(int).tolist()
    import run_folders

    names, run_folders.NAMES = run_folders.NAMES, tuple(f"class {k}" for k in range(90))
    try:
        folder = write_run(tmp_path / "run", counts=counts, labels=np.arange(180) % 90)
    finally:
        run_folders.NAMES = names
    (method,) = methods_of(load_inputs([folder]))
    for figure in (
        accuracy.class_accuracy_figure([method], 2),
        accuracy.confusion_figure(method, 2),
    ):
        texts = [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]
        assert not any("class" in text for text in texts)


# ---- what they show


def test_accuracy_of_classes_above_their_training_clips(methods):
    figure = accuracy.class_accuracy_figure(methods, 2)
    above, tail = figure.axes
    assert [round(bar.get_height()) for bar in tail.patches[: len(COUNTS)]] == sorted(
        COUNTS, reverse=True
    )
    lines = {line.get_label(): line.get_ydata() for line in above.lines}
    for method in methods:
        np.testing.assert_allclose(lines[method.name], trend(100 * method.accuracies()))
    dots = [line for line in above.lines if line.get_linestyle() == "None"]
    assert [line.get_color() for line in dots] == list(COLOURS[:2])
    for line, method in zip(dots, methods, strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * method.accuracies())
    labels = [label.get_text() for label in tail.get_xticklabels()]
    assert labels == list(NAMES)
    assert [text.get_text() for text in above.get_legend().get_texts()] == [
        method.name for method in methods
    ]


def test_error_bars_of_one_and_of_several_seeds(methods):
    single, several = methods
    assert accuracy.interval(single, "few") == tuple(single.tests[0]["intervals"]["few"])
    values = [test["few"] for test in several.tests]
    low, high = accuracy.interval(several, "few")
    assert (low + high) / 2 == pytest.approx(np.mean(values))
    assert (high - low) / 2 == pytest.approx(np.std(values, ddof=1))


def test_bars_of_groups(methods):
    (axes,) = accuracy.groups_figure(methods, 2).axes
    names = ["top1", "mean_class", "many", "medium", "few"]
    assert [label.get_text() for label in axes.get_xticklabels()][2:] == names[2:]
    heights = [bar.get_height() for bar in axes.patches]
    expected = [100 * method.mean(name) for method in methods for name in names]
    np.testing.assert_allclose(heights, expected)


def test_curves_of_training(methods):
    figure = accuracy.training_figure(methods, 2)
    loss, top1, _ = figure.axes
    assert len(loss.lines) == len(top1.lines) == 3
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [3.2, 2.4, 1.9, 1.5])
    np.testing.assert_allclose(top1.lines[0].get_xydata(), [[1, 30], [3, 50]])


def test_what_was_logged_once_is_no_curve(tmp_path):
    folder = write_shown_run(tmp_path / "run")
    rows = (folder / "history.csv").read_text().splitlines()
    (folder / "history.csv").write_text("\n".join(rows[:2]))
    assert accuracy.training_figure(methods_of(load_inputs([folder])), 2) is None


def test_confusion_has_shares_of_the_true_class(methods):
    figure = accuracy.confusion_figure(methods[1], 1)
    shares = figure.axes[0].images[0].get_array()
    confusion = methods[1].confusion()
    np.testing.assert_allclose(shares, 100 * confusion / confusion.sum(1, keepdims=True))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(NAMES)


def test_bars_of_coalitions_and_their_errors(folder):
    (run,) = load_inputs([folder])
    found = run.explanation
    figure = saliency.coalitions_figure(run, found, [6, 0], 2)
    chosen = np.isin(found.coalitions.sum(1), (2, 3))
    for axes, label in zip(figure.axes[1:], (6, 0), strict=True):
        widths = [bar.get_width() for bar in axes.patches]
        np.testing.assert_allclose(widths, found.coalition_values[label, chosen])
        (errors,) = (c for c in axes.collections if c.get_segments()[0].shape == (2, 2))
        lengths = [np.ptp(segment[:, 0]) for segment in errors.get_segments()]
        expected = 2 * np.nan_to_num(found.coalition_errors[label, chosen])
        np.testing.assert_allclose(lengths, expected, atol=1e-12)


def test_bodies_have_the_colours_of_their_parts(folder):
    (run,) = load_inputs([folder])
    layout, classes = get_layout("ntu25"), [6, 5, 4, 3]
    figure = saliency.body_figure(run, run.explanation, layout, classes, 2)
    values = run.explanation.parts[classes]
    colours, scale = diverging(values)
    for axes, own in zip(figure.axes, values, strict=False):
        _, bones = axes.collections[:2]
        for (child, _), shade in zip(layout.bones, bones.get_colors(), strict=True):
            part = next(p for p, members in enumerate(layout.parts.values()) if child in members)
            name = run.explanation.part_names.index(layout.part_names[part])
            np.testing.assert_allclose(shade, colours(scale(own[name])))
    assert scale(0) == 0.5


def test_interactions(folder):
    (run,) = load_inputs([folder])
    figure = saliency.interactions_figure(run, run.explanation, [2, 1], 2)
    for axes, label in zip(figure.axes[:2], (2, 1), strict=True):
        shown = np.ma.filled(axes.images[0].get_array(), np.nan)
        expected = run.explanation.interactions[label].copy()
        np.fill_diagonal(expected, np.nan)
        np.testing.assert_allclose(shown, expected)


@pytest.mark.parametrize(
    ("layout", "channels", "up"),
    [("ntu25", "xyz", "y"), ("ntu25", "xyz", "z"), ("coco17", "xyc", "-y"), ("coco17", "xy", "-y")],
)
def test_a_mix_as_strips(tmp_path, layout, channels, up):
    options = {"channels": channels, "up": up, "persons": 2}
    folder = write_shown_run(tmp_path / "run", layout=get_layout(layout), examples=options)
    (run,) = load_inputs([folder])
    figure = mixes.mix_figure(run)
    spans = [axes.lines[-1].get_xdata().tolist() for axes in figure.axes]
    strips = [
        next(line.get_xdata() for line in axes.lines if list(line.get_xdata()) == [a, a + n])
        for axes, (a, n) in zip(figure.axes, (WINDOW, SOURCE, WINDOW), strict=True)
    ]
    assert len(strips) == len(spans) == 3
    for axes in figure.axes:
        bodies = axes.collections[1:]
        assert len(bodies) == mixes.SNAPSHOTS
        for bones in bodies:
            points = np.concatenate(bones.get_segments())
            assert np.isfinite(points).all()
            assert (np.abs(points[:, 1]) < 0.7).all()
    texts = [text.get_text() for text in figure.texts]
    assert "0.62 jump + 0.38 drink" in " ".join(texts).replace("\n", " ")


def test_without_a_paste_there_is_no_strip(tmp_path):
    folder = write_shown_run(tmp_path / "run", examples={"mixes": 0})
    assert mixes.mix_figure(load_inputs([folder])[0]) is None


# ---- as a user types it


def test_command(folder, tmp_path, capsys):
    out = tmp_path / "figures"
    words = ["figures", str(folder), "--out", str(out), "--format", "svg", "--columns", "1"]
    assert main([*words, "--only", "groups", "bodies", "--classes", "drink", "kick"]) == 0
    assert capsys.readouterr().out.split() == [str(out / "groups.svg"), str(out / "bodies.svg")]


def test_command_tells_what_is_not_drawn(tmp_path, capsys):
    folder = write_run(tmp_path / "bare", saliency=False)
    assert main(["figures", str(folder), "--out", str(tmp_path), "--only", "mix", "groups"]) == 0
    assert "not drawn: mix: bare has no clips" in capsys.readouterr().out


def test_command_line_that_is_wrong(folder, tmp_path, capsys):
    assert main(["figures", str(folder), "--out", str(tmp_path), "--columns", "3"]) == 1
    assert "--columns is 3; expected 1 or 2" in capsys.readouterr().err
    assert main(["figures", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert "no folder" in capsys.readouterr().err
    assert main(["figures", str(folder), "--format", "gif"]) == 2
