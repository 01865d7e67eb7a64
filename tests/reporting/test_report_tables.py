import csv
import io

import pytest
from rich.console import Console
from run_folders import COUNTS, NAMES

from shapmix.metrics import ACCURACIES
from shapmix.reporting import Table, class_table, run_table
from shapmix.reporting.grid import Name, Number


def printed(table, width=120):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    return console.file.getvalue()


def read_csv(table):
    return list(csv.DictReader(io.StringIO(table.csv())))


# --- the grid -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(0.8123), "81.2"),
        (Number(0.8123, sd=0.0123), "81.2 ± 1.2"),
        (Number(0.8123, interval=(0.7, 1.0)), "81.2 [70.0, 100.0]"),
        (Number(0.0312, interval=(-0.001, 0.06), unit="points"), "+3.1 [−0.1, +6.0]"),
        (Number(-0.0312, sd=0.01, unit="points"), "−3.1 ± 1.0"),
        (Number(-0.0002, unit="points"), "0.0"),
        (Number(12345.6, sd=10.2, unit="plain"), "12,346 ± 10"),
    ],
)
def test_numbers(number, text):
    assert " ".join(number.lines()) == text


TABLE = Table(
    title="A | B",
    columns=(Name("method", "Method"), Name("top1", "Top-1"), Name("gain", "Gain")),
    rows=(
        ("plain, | [bold]", Number(0.5, sd=0.25), None),
        ("ours", Number(0.75), Number(0.25, interval=(0.125, 0.5), unit="points")),
    ),
    notes=("A note.",),
    warnings=("look out.",),
    turns=True,
)


def test_markdown():
    assert TABLE.markdown() == (
        "**A \\| B**\n"
        "\n"
        "| Method | Top-1 | Gain |\n"
        "| :--- | ---: | ---: |\n"
        "| plain, \\| [bold] | 50.0 ± 25.0 | n/a |\n"
        "| ours | 75.0 | +25.0 [+12.5, +50.0] |\n"
        "\n"
        "Warning: look out.\n"
        "\n"
        "A note.\n"
    )


@pytest.mark.parametrize("width", [60, 40, 25])
def test_nothing_is_cut_in_a_narrow_terminal(width):
    name = "open_the_door_of_a_refrigerator_with_both_hands"
    table = Table("Classes", (Name("class", "Class"), Name("n", "Clips")), ((name, 12345),))
    words = "".join(printed(table, width).replace("12345", "").split())
    assert name in words
    assert "…" not in printed(table, width)


def test_csv_has_fractions_and_spread_in_columns_of_their_own():
    assert TABLE.csv() == (
        "method,top1,top1_sd,gain,gain_low,gain_high\n"
        '"plain, | [bold]",0.5,0.25,,,\n'
        "ours,0.75,,0.25,0.125,0.5\n"
    )


def test_rich_text_is_not_parsed_as_markup():
    text = printed(TABLE)
    for words in ("A | B", "plain, | [bold]", "± 25.0", "n/a", "Warning: look out.", "A note."):
        assert words in text


def test_a_narrow_terminal_turns_the_table():
    wide, narrow = printed(TABLE, 80), printed(TABLE, 38)
    assert "Method" in wide
    assert "Method" not in narrow
    assert [line.split()[0] for line in narrow.splitlines() if "75.0" in line] == ["Top-1"]


def test_an_empty_table():
    empty = Table("none", (Name("a", "A"),), ())
    assert empty.csv() == "a\n"
    assert "| A |" in empty.markdown()
    assert "A" in printed(empty)


# --- tables of a run ----------------------------------------------------------------------------


def test_run_table_has_every_figure_of_both_epochs(new_run):
    run = new_run("run")
    table = run_table(run)
    rows = {row["metric"]: row for row in read_csv(table)}
    assert list(rows) == [*ACCURACIES, "ece"]
    for name in ACCURACIES:
        for which in ("last", "best"):
            test = run.result(which).test
            assert float(rows[name][which]) == test[name]
            low, high = (float(rows[name][f"{which}_{end}"]) for end in ("low", "high"))
            assert [low, high] == test["intervals"][name]
    assert [rows[name]["classes"] for name in ("top1", "many", "medium")] == ["7", "2", "3"]
    text = printed(table)
    assert "Last (epoch 65)" in text
    assert "Best (epoch 60)" in text
    assert "Few (fewer than 20 training clips)" in text
    assert "1,448,172 parameters, trained in 13 min" in text


def test_empty_groups_are_not_available(new_run):
    run = new_run("few", counts=(9, 8, 7, 6), best=False)
    rows = {row["metric"]: row for row in read_csv(run_table(run))}
    assert rows["many"]["last"] == ""
    assert rows["top5"]["last"] == ""
    assert "| Many (more than 100 training clips) | 0 | n/a |" in run_table(run).markdown()
    assert "best" not in rows["few"]


def test_classes_without_test_clips_are_said(new_run):
    run = new_run("untested", labels=[0, 1, 2, 3, 4, 5] * 10)
    assert "Without test clips, so left out of all means: jump." in printed(run_table(run))
    jump = read_csv(class_table(run))[-1]
    assert (jump["class"], jump["last"], jump["test_clips"]) == ("jump", "", "0")
    assert jump["taken_for"] == ""


def test_class_table_starts_with_the_most_training_clips(new_run):
    run = new_run("run", counts=COUNTS[::-1])
    rows = read_csv(class_table(run))
    assert [row["class"] for row in rows] == list(NAMES[::-1])
    assert [row["group"] for row in rows] == ["many"] * 2 + ["medium"] * 3 + ["few"] * 2
    for row in rows:
        label = NAMES.index(row["class"])
        assert float(row["last"]) == run.last.test["per_class"][label]["accuracy"]
        confusion = list(run.last.test["confusion"][label])
        confusion[label] = 0
        other, share = row["taken_for"].rsplit(" (", 1)
        assert confusion[NAMES.index(other)] == max(confusion)
        assert float(share[:-1]) == pytest.approx(100 * max(confusion) / 30, abs=0.05)
