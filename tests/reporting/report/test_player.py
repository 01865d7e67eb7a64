"""The player of skeletons: what it is given, and what it does in a real browser."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from markupsafe import Markup
from shown_runs import LAYOUT, SOURCE, WINDOW, T, make_clip, make_mix, write_shown_run

from shapmix.layouts import get_layout
from shapmix.reporting.report import mixes, page
from shapmix.reporting.report.inputs import load_inputs
from shapmix.reporting.report.player import (
    ABSENT,
    PLAYER_SCRIPTS,
    Scene,
    Show,
    front,
    player_html,
    quantise,
)
from shapmix.reporting.report.section import Section

LAST = T - 1
PLAYER = "document.querySelector('.player').player"


def mix_section(runs):
    """A player with a mix, and one with a single clip, without motion to begin with."""
    rng = np.random.default_rng(0)
    receiver, partner, mixed, pasted = make_mix(rng)
    scenes = {
        "r": Scene(receiver, LAYOUT, "y", pasted, WINDOW, "pale"),
        "p": Scene(partner, LAYOUT, "y", pasted, SOURCE),
        "m": Scene(mixed, LAYOUT, "y", pasted, WINDOW),
        "c": Scene(make_clip(rng, persons=2), LAYOUT, "y"),
    }
    captions = (("Receiver", "drink"), ("Partner", "wave"), ("Mixed", "0.62 drink + 0.38 wave"))
    shows = [
        Show("drink + wave", ("r", "p", "m"), captions, "Pasted: right arm.", one_camera=True),
        Show("one clip", ("c",), (("Clip A", "kick"),)),
    ]
    html = player_html("first", "Mix", shows, scenes)
    far = Markup('<div style="height: 3000px"></div>')
    second = player_html("second", "Clip", [Show("one", ("c",), (("Clip", "kick"),))], scenes)
    return Section("players", "Players", html + far + second, PLAYER_SCRIPTS)


@pytest.fixture
def page_of(three_runs, tmp_path, monkeypatch):
    """Write a page of one section: `page_of(make_section)`, its path."""

    def write(make_section, folders=None):
        monkeypatch.setattr(page, "section_makers", lambda: (make_section,))
        return page.write_report(folders or three_runs[:1], tmp_path / "report.html")

    return write


@pytest.fixture
def opened(open_page, page_of):
    return open_page(page_of(mix_section))


def frame(page):
    return int(page.locator("#first").get_attribute("data-frame"))


def pictures(page):
    """The canvases as data URLs."""
    return page.evaluate(
        "[...document.querySelectorAll('#first canvas')].map((c) => c.toDataURL())"
    )


def coloured(page, number, name):
    """Pixels of a canvas in a colour of the player."""
    return page.evaluate(
        """([number, name]) => {
            const canvas = document.querySelectorAll("#first canvas")[number];
            const {width, height} = canvas;
            const copy = Object.assign(document.createElement("canvas"), {width, height});
            const context = copy.getContext("2d", {willReadFrequently: true});
            context.fillStyle = getComputedStyle(canvas).getPropertyValue("--player-" + name);
            context.fillRect(0, 0, 1, 1);
            const wanted = context.getImageData(0, 0, 1, 1).data;
            context.clearRect(0, 0, width, height);
            context.drawImage(canvas, 0, 0);
            const {data} = context.getImageData(0, 0, width, height);
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
                found += data[i + 3] === 255 && [0, 1, 2].every((c) => data[i + c] === wanted[c]);
            return found;
        }""",
        [number, name],
    )


def seek(page, frame):
    slider = page.locator("#first .frame")
    slider.fill(str(frame))


# ---- what it is given


@given(
    arrays(
        np.float32,
        (3, 2, 4, 3),
        elements=st.one_of(st.floats(-1e4, 1e4, width=32), st.just(np.nan)),
    )
)
def test_quantised_coordinates_equal_the_originals_to_half_a_step(keypoints):
    whole, step = quantise(keypoints)
    absent = np.isnan(keypoints)
    assert whole.dtype == np.dtype("<i2")
    np.testing.assert_array_equal(whole == ABSENT, absent)
    largest = np.abs(keypoints[~absent]).max(initial=0)
    assert step == (pytest.approx(largest / 32767) if largest else 1)
    error = np.abs(whole[~absent] * step - keypoints[~absent].astype(np.float64))
    assert (error <= step / 2 * (1 + 1e-9)).all()


@pytest.mark.parametrize("up", ["y", "-y", "z"])
@pytest.mark.parametrize("turn", [0, 1.0, 2.5, -2.0])
def test_the_front_of_a_body_is_turned_to_the_viewer(up, turn):
    """The left shoulder ends on the right of the picture, and a little nearer or farther."""
    clip = np.zeros((2, 1, LAYOUT.num_joints, 3))
    right, depth = (0, 2) if up != "z" else (0, 1)
    towards = {"y": 1, "-y": -1, "z": -1}[up]
    for name, side in (("left_shoulder", 0.2), ("right_shoulder", -0.2)):
        joint = LAYOUT.joints.index(name)
        clip[:, 0, joint, right] = side * np.cos(turn)
        clip[:, 0, joint, depth] = towards * side * np.sin(turn)
    yaw = front(Scene(clip, LAYOUT, up))
    seen = np.cos(yaw) * np.cos(turn) + np.sin(yaw) * np.sin(turn)
    assert seen == pytest.approx(np.cos(np.deg2rad(25)))


def test_flat_bodies_and_bodies_without_sides_are_not_turned():
    coco = get_layout("coco17")
    flat = make_clip(np.random.default_rng(0), coco, channels="xy")
    assert front(Scene(flat, coco, "-y")) == 0
    assert front(Scene(np.zeros((2, 1, LAYOUT.num_joints, 3)), LAYOUT, "y")) == 0


# ---- in the browser


def test_the_browser_has_the_same_coordinates(open_page, page_of, until):
    clip = make_clip(np.random.default_rng(5), persons=2).astype(np.float32)
    clip[3, 1] = np.nan
    clip[:, 0, 7] = np.nan

    def section(runs):
        shows = [Show("one", ("c",), (("Clip", "kick"),))]
        html = player_html("first", "Clip", shows, {"c": Scene(clip, LAYOUT, "y")})
        return Section("p", "P", html, PLAYER_SCRIPTS)

    page = open_page(page_of(section))
    until(page, f"{PLAYER}.scenes !== null")
    found = page.evaluate(f"[...{PLAYER}.scenes[0].points].map((v) => isNaN(v) ? null : v)")
    points = np.array(found, dtype=np.float64).reshape(clip.shape)
    np.testing.assert_array_equal(np.isnan(points), np.isnan(clip))
    step = np.nanmax(np.abs(clip)) / 32767
    assert np.nanmax(np.abs(points - clip)) <= step / 2 + 1e-6


def test_play_and_pause(opened, until):
    button = opened.locator("#first .play")
    assert button.inner_text() == "Play"
    assert frame(opened) == 0
    button.click()
    assert button.inner_text() == "Pause"
    until(opened, "Number(document.getElementById('first').dataset.frame) >= 3")
    button.click()
    stopped = frame(opened)
    opened.evaluate("new Promise((done) => setTimeout(done, 400))")
    assert frame(opened) == stopped
    assert opened.locator("#first .counter").inner_text() == f"{stopped + 1} / {T}"
    assert opened.locator("#first .frame").input_value() == str(stopped)


def test_speed(opened):
    opened.locator("#first .speed").select_option("2")
    opened.evaluate(f"{PLAYER}.seek(0); {PLAYER}.advance(0.25)")
    fast = opened.evaluate(f"{PLAYER}.time")
    opened.locator("#first .speed").select_option("0.5")
    opened.evaluate(f"{PLAYER}.seek(0); {PLAYER}.advance(0.25)")
    assert fast == pytest.approx(4 * opened.evaluate(f"{PLAYER}.time"))


def test_scrubbing(opened):
    slider = opened.locator("#first .frame")
    first = pictures(opened)
    slider.focus()
    slider.press("End")
    assert frame(opened) == LAST
    assert opened.locator("#first .counter").inner_text() == f"{T} / {T}"
    assert pictures(opened) != first
    slider.press("ArrowLeft")
    assert frame(opened) == LAST - 1
    seek(opened, WINDOW[0])
    assert "inside a marked window" in slider.get_attribute("aria-valuetext")
    slider.press("Space")
    assert opened.locator("#first .play").inner_text() == "Pause"


def test_keys_turn_and_play(opened):
    stage = opened.locator("#first .stage")
    stage.focus()
    before = pictures(opened)
    for key in ("ArrowRight", "ArrowUp"):
        stage.press(key)
        after = pictures(opened)
        assert all(new != old for new, old in zip(after, before, strict=True)), key
        before = after
    opened.locator("#first .reset").click()
    stage.press("ArrowLeft")
    stage.press("ArrowRight")
    turned_back = opened.evaluate(f"{PLAYER}.yaw")
    assert turned_back == pytest.approx(0)
    stage.press(" ")
    assert opened.locator("#first .play").inner_text() == "Pause"


def test_dragging_turns_and_reset_turns_back(opened):
    first = pictures(opened)
    box = opened.locator("#first canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 80, y + 20, steps=4)
    opened.mouse.up()
    turned = pictures(opened)
    assert all(new != old for new, old in zip(turned, first, strict=True))
    opened.mouse.move(x, y)
    assert pictures(opened) == turned
    opened.locator("#first .reset").click()
    assert pictures(opened) == first


def test_pasted_parts_are_coloured_inside_their_windows(opened):
    for at in range(T):
        seek(opened, at)
        inside, source = (a <= at < a + n for a, n in (WINDOW, SOURCE))
        strong = [coloured(opened, number, "strong") > 0 for number in range(3)]
        assert strong == [False, source, inside], at
        assert (coloured(opened, 0, "pale") > 0) == inside, at


def test_windows_are_marked_below_the_slider(opened):
    track = opened.locator("#first .windows").bounding_box()
    marks = [mark.bounding_box() for mark in opened.locator("#first .windows i").all()]
    for mark, (start, length) in zip(marks, (SOURCE, WINDOW), strict=True):
        assert mark["x"] - track["x"] == pytest.approx(track["width"] * start / T, abs=1)
        assert mark["width"] == pytest.approx(track["width"] * length / T, abs=1)


def test_captions_tell_the_mixed_label(opened):
    captions = opened.locator("#first figcaption").all_inner_texts()
    assert captions == ["Receiver drink", "Partner wave", "Mixed 0.62 drink + 0.38 wave"]
    assert opened.locator("#first .note").inner_text() == "Pasted: right arm."
    labels = [c.get_attribute("aria-label") for c in opened.locator("#first canvas").all()]
    assert labels[2] == "Mixed: 0.62 drink + 0.38 wave"


def test_another_show_by_list_and_by_event(opened):
    opened.locator("#first .choice").select_option(label="one clip")
    assert opened.locator("#first figcaption").all_inner_texts() == ["Clip A kick"]
    assert opened.locator("#first .windows i").count() == 0
    opened.evaluate(
        "document.getElementById('first').dispatchEvent(new CustomEvent('show', {detail: 0}))"
    )
    assert opened.locator("#first figcaption").count() == 3
    assert opened.locator("#first .choice").input_value() == "0"


def test_two_persons_are_drawn_in_two_colours(opened):
    opened.locator("#first .choice").select_option(label="one clip")
    assert coloured(opened, 0, "body-0") > 0
    assert coloured(opened, 0, "body-1") > 0


def test_the_theme_is_followed(opened, until):
    before = pictures(opened)
    opened.locator("#theme").click()
    until(opened, "document.documentElement.dataset.theme === 'dark'")
    assert pictures(opened) != before
    assert coloured(opened, 0, "body-0") > 0


def test_nothing_moves_by_itself_for_those_who_want_less_motion(open_page, page_of, until):
    path = page_of(mix_section)
    page = open_page(path)
    page.evaluate("new Promise((done) => setTimeout(done, 400))")
    assert frame(page) == 0
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    until(page, "Number(document.getElementById('first').dataset.frame) > 0")


def test_only_what_can_be_seen_moves(open_page, page_of, until):
    page = open_page(page_of(mix_section))
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    until(page, "Number(document.getElementById('first').dataset.frame) > 0")
    assert page.locator("#second").get_attribute("data-frame") is None
    page.locator("#second").scroll_into_view_if_needed()
    until(page, "Number(document.getElementById('second').dataset.frame) > 0")
    left_at = frame(page)
    page.evaluate("new Promise((done) => setTimeout(done, 400))")
    assert frame(page) == left_at


def test_nothing_below_moves_when_a_player_comes_into_view(opened, until):
    height = "document.querySelector('#second').offsetHeight"
    before = opened.evaluate(height)
    assert opened.evaluate("document.querySelector('#second').player.scenes") is None
    opened.locator("#second").scroll_into_view_if_needed()
    until(opened, "document.querySelector('#second').player.scenes !== null")
    assert opened.evaluate(height) == before > 200  # pixels


def test_flat_skeletons_play_but_do_not_turn(open_page, page_of):
    coco = get_layout("coco17")
    clip = make_clip(np.random.default_rng(1), coco, channels="xy").astype(np.float32)
    clip[:, :, coco.joints.index("left_wrist")] = np.nan

    def section(runs):
        shows = [Show("one", ("c",), (("Clip", "kick"),))]
        html = player_html("first", "Clip", shows, {"c": Scene(clip, coco, "-y")})
        return Section("p", "P", html, PLAYER_SCRIPTS)

    page = open_page(page_of(section))
    first = pictures(page)
    page.locator("#first .stage").press("ArrowRight")
    assert pictures(page) == first
    seek(page, 5)
    assert pictures(page) != first


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_mixes_of_a_run(open_page, page_of, check_axe, see_all, tmp_path, width, dark):
    folder = write_shown_run(tmp_path / "run", examples={"persons": 2})
    page = open_page(page_of(mixes.make_section, [folder]), width, dark=dark)
    see_all(page)
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    captions = page.locator(".player figcaption").all_inner_texts()
    assert captions == ["Receiver jump", "Partner drink", "Mixed 0.62 jump + 0.38 drink"]
    assert page.locator(".player .note").inner_text() == (
        "Pasted: trunk and right arm, into frames 7 to 16 of the mixed clip from frames 5 to 18 of "
        "the partner."
    )
    options = page.locator(".player .choice option").all_inner_texts()
    assert options == ["jump + drink", "kick + eat meal"]
    page.locator("summary").click()
    assert page.locator("tbody tr").count() == 2


def test_methods_share_the_room_for_mixes(page_of, tmp_path):
    folders = [
        write_shown_run(tmp_path / name, examples={"mixes": 3}, mixer=name) for name in ("a", "b")
    ]
    runs = load_inputs(folders)
    section = mixes.make_section(runs)
    assert section.html.count('class="player"') == 2
    assert section.html.count("<option value=") == 2 * (3 + 4)


def test_no_section_without_mixes(three_runs, tmp_path):
    folder = write_shown_run(tmp_path / "run", examples={"mixes": 0})
    assert mixes.make_section(load_inputs(three_runs)) is None
    assert mixes.make_section(load_inputs([folder])) is None
