"""Salient parts in the report: what is told of a class, in numbers and in a real browser."""

import dataclasses

import numpy as np
import pytest
from run_folders import NAMES, PARTS
from shown_runs import LAYOUT, write_shown_run

from shapmix.layouts import CATALOG, Layout, get_layout
from shapmix.reporting.report import page, saliency
from shapmix.reporting.report.inputs import load_inputs
from shapmix.reporting.schematic import layout_pose

WORDS = [part.replace("_", " ") for part in PARTS]


@pytest.fixture
def folder(tmp_path):
    return write_shown_run(tmp_path / "run")


@pytest.fixture
def opened(open_page, folder, tmp_path, monkeypatch):
    """Open a page of this section alone."""
    monkeypatch.setattr(page, "section_makers", lambda: (saliency.make_section,))

    def open_(*folders, **options):
        path = page.write_report(folders or [folder], tmp_path / "report.html")
        return open_page(path, **options)

    return open_


def number(text):
    return float(text.replace("−", "-"))


# ---- numbers


def test_coalitions_that_are_shown():
    for P, expected in ((3, 7), (5, 31), (6, 63), (8, 8 + 70)):
        rows = (np.arange(1, 2**P)[:, None] >> np.arange(P)) & 1 == 1
        shown = saliency.shown_coalitions(rows)
        assert len(shown) == expected
        assert set(rows[shown].sum(1)) >= {1, P // 2, (P + 1) // 2}


def test_of_several_seeds_it_is_told_whose_values_are_shown(tmp_path):
    folders = [write_shown_run(tmp_path / f"run{seed}", seed=seed) for seed in (0, 1)]
    both = saliency.make_section(load_inputs(folders)).html
    assert "of several runs the first, run0" in both
    assert "of several runs" not in saliency.make_section(load_inputs(folders[:1])).html


def test_development_has_the_coalitions_that_ended_highest(folder):
    found = load_inputs([folder])[0].saliency
    told = saliency.development(found)
    assert told["epochs"] == [0, 30, 64]
    for label, (lines, scores) in enumerate(zip(told["lines"], told["scores"], strict=True)):
        final = found.scores[-1, label]
        assert sorted(final[lines], reverse=True) == sorted(final, reverse=True)[:5]
        for line, values in zip(lines, scores, strict=True):
            np.testing.assert_allclose(values, found.scores[:, label, line], atol=6e-4)
            members = zip(PARTS, found.coalitions[line], strict=True)
            words = [part.replace("_", " ") for part, member in members if member]
            assert told["names"][line] == " + ".join(words)


def test_of_many_refreshes_some_are_told(folder):
    found = load_inputs([folder])[0].saliency
    long = dataclasses.replace(
        found, epochs=np.arange(500), scores=np.repeat(found.scores[:1], 500, axis=0)
    )
    epochs = saliency.development(long)["epochs"]
    assert (len(epochs), epochs[0], epochs[-1]) == (saliency.MOST_REFRESHES, 0, 499)
    assert saliency.development(long, 8)["epochs"][::7] == [0, 499]


def test_a_panel_of_four_hundred_classes_stays_small(folder):
    (run,) = load_inputs([folder])
    K, R = 400, 100
    many = dataclasses.replace(
        run.run, class_names=tuple(f"class {k}" for k in range(K)), class_counts=(5,) * K
    )
    found = {
        field.name: np.resize(value, (K, *value.shape[1:]))
        for field in dataclasses.fields(run.explanation)
        if field.name not in ("part_names", "coalitions")
        for value in [getattr(run.explanation, field.name)]
    }
    learnt = dataclasses.replace(
        run.saliency, epochs=np.arange(R), scores=np.resize(run.saliency.scores, (R, K, 20))
    )
    runs = [
        dataclasses.replace(
            run,
            run=dataclasses.replace(many, config={"mixer": name}),
            explanation=dataclasses.replace(run.explanation, **found),
            saliency=learnt,
        )
        for name in "abc"
    ]
    assert len(saliency.make_section(runs).html) < 3.5e6


@pytest.mark.parametrize("name", CATALOG)
def test_a_body_drawn_from_its_layout(name):
    layout = get_layout(name)
    pose = layout_pose(layout)
    assert np.isfinite(pose).all()
    assert len(np.unique(pose.round(4), axis=0)) == layout.num_joints
    for left, right in layout.mirror:
        np.testing.assert_allclose(pose[left], pose[right] * [-1, 1])
        assert pose[left, 0] > 0  # it faces the reader
    feet = [j for j, joint in enumerate(layout.joints) if "ankle" in joint or "foot" in joint]
    assert pose[feet, 1].max() < pose[layout.joints.index("left_hip"), 1]


def test_joints_of_unknown_names():
    """A few lie beyond their parents; of mostly unknown names a tree is drawn."""
    renamed = {"right_hand": "paw", "right_wrist": "stick"}

    def with_names(names):
        return Layout("own", names, LAYOUT.bones, LAYOUT.center, dict(LAYOUT.parts))

    few = with_names(tuple(renamed.get(joint, joint) for joint in LAYOUT.joints))
    pose = layout_pose(few)
    elbow, shoulder = (pose[few.joints.index(f"right_{n}")] for n in ("elbow", "shoulder"))
    np.testing.assert_allclose(pose[few.joints.index("stick")], elbow + (elbow - shoulder) / 2)
    tree = with_names(tuple(f"joint {j}" for j in range(LAYOUT.num_joints)))
    pose = layout_pose(tree)
    assert len(np.unique(pose.round(6), axis=0)) == LAYOUT.num_joints
    assert all(pose[parent, 1] > pose[child, 1] for child, parent in tree.bones)


# ---- in the browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_accessible(opened, check_axe, see_all, width, dark):
    page = opened(width=width, dark=dark)
    see_all(page)
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_what_is_told_of_the_chosen_class(opened, folder):
    found = load_inputs([folder])[0].explanation
    page = opened()
    chooser = page.locator("select.class")
    assert chooser.locator("option").first.inner_text() == "drink (300 training clips)"
    assert chooser.input_value() == "6"  # the class with the fewest training clips
    for label in (6, 2, 0):
        chooser.select_option(str(label))
        rows = page.locator(".part-values tbody tr")
        assert rows.locator("th").all_inner_texts() == WORDS
        for text, value, error in zip(
            rows.locator("td.number").all_inner_texts(),
            found.parts[label],
            found.part_errors[label],
            strict=True,
        ):
            words = text.split(" ± ")
            assert number(words[0]) == pytest.approx(value, abs=6e-4)
            assert len(words) == (1 if np.isnan(error) else 2)
            if len(words) == 2:
                assert number(words[1]) == pytest.approx(error, abs=6e-4)
        bars = page.locator(".part-values .length")
        lengths = [bar.bounding_box()["width"] for bar in bars.all()]
        np.testing.assert_allclose(
            np.array(lengths) / max(lengths),
            np.abs(found.parts[label]) / np.abs(found.parts[label]).max(),
            atol=0.02,
        )
        signs = ["minus" in bar.get_attribute("class") for bar in bars.all()]
        assert signs == (found.parts[label] < 0).tolist()


def test_the_body_has_the_colours_of_its_parts(opened, folder):
    found = load_inputs([folder])[0].explanation
    page = opened()
    page.locator("select.class").select_option("3")
    values = found.parts[3]
    assert page.locator("svg circle").count() == LAYOUT.num_joints
    assert page.locator("svg line").count() == LAYOUT.num_joints - 1
    for part, name in enumerate(PARTS):
        shapes = page.locator(f".body circle[data-part='{part}']")
        assert shapes.count() == len(LAYOUT.parts[name])
        share, kind = shapes.first.evaluate(
            "(e) => [Number(e.style.getPropertyValue('--share')), e.getAttribute('class')]"
        )
        assert share == pytest.approx(abs(values[part]) / np.abs(values).max(), abs=1e-3)
        assert kind == ("minus" if values[part] < 0 else "plus")
    fills = {
        part: page.locator(f".body circle[data-part='{part}']").first.evaluate(
            "(e) => getComputedStyle(e).fill"
        )
        for part in range(5)
    }
    assert len(set(fills.values())) == 5
    assert page.locator(".body svg").get_attribute("aria-label").startswith("Body coloured by")


def test_coalitions_are_sorted_and_chosen_by_size(opened, folder):
    found = load_inputs([folder])[0].explanation
    page = opened()
    page.locator("select.class").select_option("2")
    numbers = page.locator(".coalition-values td.number")

    def values():
        return [number(text.split(" ± ")[0]) for text in numbers.all_inner_texts()]

    sizes = found.coalitions.sum(1)
    expected = np.sort(found.coalition_values[2][np.isin(sizes, (2, 3))])[::-1]
    np.testing.assert_allclose(values(), expected, atol=6e-4)
    best = found.coalitions[np.isin(sizes, (2, 3))][
        np.argmax(found.coalition_values[2][np.isin(sizes, (2, 3))])
    ]
    dots = page.locator(".coalition-values tbody tr").first.locator("td.part i")
    assert [dot.get_attribute("class") == "in" for dot in dots.all()] == best.tolist()
    page.locator("select.size").select_option(label="4 parts")
    assert len(values()) == 5
    page.locator("select.size").select_option(label="all")
    assert len(values()) == 31


def test_interactions(opened, folder):
    found = load_inputs([folder])[0].explanation
    page = opened()
    page.locator("select.class").select_option("1")
    rows = page.locator(".pair-values tbody tr")
    for i, row in enumerate(rows.all()):
        cells = row.locator("td").all_inner_texts()
        assert cells[i] == "·"
        for j, text in enumerate(cells):
            if i != j:
                value = number(text.split("\n")[0].split("±")[0])
                assert value == pytest.approx(found.interactions[1, i, j], abs=6e-4)
                assert "±" in text


def test_all_classes_in_one_table(opened, folder):
    found = load_inputs([folder])[0].explanation
    page = opened()
    rows = page.locator(".heat tbody tr")
    names = rows.locator("th").all_inner_texts()
    assert names == list(NAMES)  # which go from many to few training clips
    cells = rows.nth(4).locator("td").all_inner_texts()
    np.testing.assert_allclose([number(c) for c in cells[1:6]], found.parts[4], atol=6e-3)
    assert number(cells[6]) == pytest.approx(found.parts[4].sum(), abs=6e-3)
    heading = page.locator(".heat thead button", has_text="left arm")
    heading.click()
    order = [names.index(name) for name in rows.locator("th").all_inner_texts()]
    assert order == np.argsort(-found.parts[:, 2].round(2), kind="stable").tolist()
    page.locator(".pick", has_text="wave").press("Enter")
    assert page.locator("select.class").input_value() == str(NAMES.index("wave"))
    assert page.locator(".heat tr[aria-current]").inner_text().startswith("wave")


def test_development_is_drawn(opened):
    page = opened()
    plot = page.locator(".development")
    plot.scroll_into_view_if_needed()
    plot.locator("svg.main-svg").first.wait_for()
    assert plot.locator(".scatterlayer .trace").count() == 5
    before = plot.get_attribute("aria-label")
    assert "saliency scores of “jump”" in before
    page.locator("select.class").select_option("0")
    assert "“drink”" in plot.get_attribute("aria-label")


def test_methods_have_panels_and_lacks_are_left_out(opened, folder, tmp_path):
    """One run without an explanation, one without learnt saliency, one with neither."""
    learnt = write_shown_run(tmp_path / "learnt", mixer="a")
    (learnt / "explanation.npz").unlink()
    explained = write_shown_run(tmp_path / "explained", mixer="b", saliency=False)
    neither = write_shown_run(tmp_path / "neither", mixer="c", saliency=False)
    (neither / "explanation.npz").unlink()
    page = opened(folder, learnt, explained, neither)
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["run", "learnt", "explained"]
    tabs.nth(1).click()
    panel = page.locator(".saliency:visible")
    assert (panel.locator("svg.body, .heat").count(), panel.locator(".development").count()) == (
        0,
        1,
    )
    tabs.nth(2).click()
    assert (panel.locator(".heat").count(), panel.locator(".development").count()) == (1, 0)
    assert saliency.make_section(load_inputs([neither])) is None
