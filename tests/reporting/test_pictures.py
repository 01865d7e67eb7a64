import io
import sys

import numpy as np
import pytest
from run_folders import NAMES

from shapmix.layouts import get_layout
from shapmix.reporting import RunError, mixed_clips_figure, saliency_figure
from shapmix.reporting.drawing import INK, PALE, STRONG, fit, flatten

LAYOUT = get_layout("kinect20")
T, WINDOW, SOURCE = 64, (16, 36), (8, 48)


def make_clips(seed=0, channels=3):
    """A body of random proportions that sways, its partner, and a mix by hand."""
    rng = np.random.default_rng(seed)
    size = np.array([0.2, 0.5, 0.2])[:channels, None, None]
    body = size * rng.normal(size=(channels, 1, 20))
    a, b = body + 0.02 * rng.normal(size=(2, channels, T, 20))
    pasted = np.isin(np.arange(20), LAYOUT.parts["right_arm"])
    mixed = a.copy()
    mixed[:, 16:52, pasted] = b[:, 16:52, pasted]
    return a, b, mixed, pasted


def draw(**options):
    a, b, mixed, pasted = make_clips()
    return mixed_clips_figure(
        a,
        b,
        mixed,
        pasted,
        WINDOW,
        LAYOUT,
        source_window=SOURCE,
        labels=("kick", "wave"),
        **options,
    )


def png(figure):
    out = io.BytesIO()
    figure.savefig(out)
    return out.getvalue()


def size_of(image):
    return tuple(int.from_bytes(image[at : at + 4]) for at in (16, 20))


def colours(axes):
    """Colours of the bones of each skeleton of a strip."""
    from matplotlib.colors import to_hex

    return [[to_hex(c) for c in bones.get_colors()] for bones in axes.collections[1:]]


def test_size_of_the_picture():
    image = png(draw(lam=0.8))
    assert size_of(image)[0] == 1200
    assert len(image) < 200_000


def test_bones_of_pasted_joints_are_coloured_inside_the_window():
    receiver, partner, mixed = map(colours, draw(snapshots=8).axes)
    frames = np.arange(4, 64, 8)
    arm = len(LAYOUT.parts["right_arm"])
    for strip, colour, (start, length) in (
        (receiver, PALE, WINDOW),
        (partner, STRONG, SOURCE),
        (mixed, STRONG, WINDOW),
    ):
        inside = (frames >= start) & (frames < start + length)
        assert [bones.count(colour) for bones in strip] == (arm * inside).tolist()
        assert [len(bones) for bones in strip] == [19] * 8
    assert {colour for bones in mixed for colour in bones} == {INK, STRONG}


def test_the_mix_stands_where_its_receiver_stands():
    a, _, mixed, pasted = make_clips()
    a[0] += 5  # far to the side
    mixed[0] += 5
    own, mix = flatten(a, a, LAYOUT.center, "y"), flatten(mixed, a, LAYOUT.center, "y")
    np.testing.assert_array_equal(mix[:, :, ~pasted], own[:, :, ~pasted])
    np.testing.assert_allclose(own[0, :, LAYOUT.center], 0, atol=1e-12)


@pytest.mark.parametrize(("up", "axis", "sign"), [("y", 1, 1), ("-y", 1, -1), ("z", 2, 1)])
def test_which_axis_points_up(up, axis, sign):
    clip = make_clips()[0]
    flat = flatten(clip, clip, LAYOUT.center, up)
    expected = sign * (clip[axis] - clip[axis][:, LAYOUT.center].mean())
    np.testing.assert_allclose(flat[1], expected, atol=1e-12)


def test_turning_a_quarter_shows_depth():
    clip = make_clips()[0]
    flat = flatten(clip, clip, LAYOUT.center, "y", turn=90)
    depth = clip[2] - clip[2][:, LAYOUT.center, None]
    np.testing.assert_allclose(flat[0], depth, atol=1e-12)


def test_bodies_are_one_unit_high_and_jumping_joints_do_not_count():
    clip = make_clips()[0]
    clip[1, 10, 3] = 1000
    flat = flatten(clip, clip, LAYOUT.center, "y")
    scale, lift = fit([flat])
    heights = np.delete((scale * flat[1] + lift).ravel(), 10 * 20 + 3)
    assert -0.6 < heights.min() < -0.45
    assert 0.45 < heights.max() < 0.6


def test_frames_without_a_body_stay_empty():
    a, b, mixed, pasted = make_clips()
    b[:, :32] = 0
    figure = mixed_clips_figure(a, b, mixed, pasted, WINDOW, LAYOUT, snapshots=8)
    assert [len(colours(axes)) for axes in figure.axes] == [8, 4, 8]
    empty = np.zeros_like(a)
    png(mixed_clips_figure(empty, empty, empty, pasted, WINDOW, LAYOUT))


def test_captions():
    image = draw(lam=0.8)
    texts = {text.get_text() for text in image.findobj(lambda artist: hasattr(artist, "get_text"))}
    assert {"Receiver", "Partner", "Mixed", "kick", "80% kick", "20% wave"} <= texts
    assert "right\N{NO-BREAK SPACE}arm" in texts
    assert "48 frames become 36" in texts


def test_two_dimensions_and_tensors():
    import torch

    a, b, mixed, pasted = (torch.from_numpy(each) for each in make_clips(channels=2))
    png(mixed_clips_figure(a, b, mixed, pasted, WINDOW, LAYOUT, up="-y"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"receiver": np.zeros((3, T, 25))}, r"expected three times \(C, T, 20\).*kinect20"),
        ({"mixed": np.zeros((3, T, 20, 1))}, "pick one person"),
        ({"pasted_joints": np.ones(25, bool)}, r"shape \(25,\); expected \(20,\)"),
        ({"window": (40, 36)}, r"window \(40, 36\) leaves the clip's 64 frames"),
        ({"source_window": (-1, 4)}, r"window \(-1, 4\)"),
    ],
)
def test_mixed_clips_figure_refuses(change, message):
    a, b, mixed, pasted = make_clips()
    arguments = {"receiver": a, "partner": b, "mixed": mixed, "pasted_joints": pasted}
    with pytest.raises(ValueError, match=message):
        mixed_clips_figure(**({**arguments, "window": WINDOW, "layout": LAYOUT} | change))


def test_bars_of_saliency_are_those_of_the_last_refresh(new_run):
    run = new_run("run")
    figure = saliency_figure(run, ["wave", 6])
    scores = np.load(run.path / "saliency.npz")["scores"][-1]
    dots, *panels = figure.axes
    for axes, label in zip(panels, (3, 6), strict=True):
        bars = axes.patches
        np.testing.assert_allclose([bar.get_width() for bar in bars], scores[label], rtol=1e-6)
        strong = [i for i, bar in enumerate(bars) if bar.get_facecolor()[:3] == bars_colour()]
        assert set(strong) == set(np.argsort(scores[label])[-3:])
        assert axes.get_title("left").strip() == NAMES[label]
    assert len(dots.lines) == 20
    assert size_of(png(figure))[0] < 1300


def bars_colour():
    from matplotlib.colors import to_rgb

    return to_rgb(STRONG)


def test_the_rarest_classes_are_shown_when_none_are_named(new_run):
    run = new_run("run", counts=(6, 300, 9, 40, 25, 12, 7))
    titles = [axes.get_title("left").strip() for axes in saliency_figure(run).axes[1:]]
    assert titles == [NAMES[label] for label in (0, 6, 2, 5)]


def test_saliency_figure_refuses(new_run):
    run = new_run("run")
    with pytest.raises(ValueError, match=r"no class 'klap' \(did you mean 'clap'\?\)"):
        saliency_figure(run, ["klap"])
    with pytest.raises(ValueError, match=r"no class 7; expected one of .* label from 0 to 6"):
        saliency_figure(run, [7])
    with pytest.raises(ValueError, match="classes is empty"):
        saliency_figure(run, [])
    with pytest.raises(RunError, match="only runs with a saliency-guided mixer"):
        saliency_figure(new_run("plain", saliency=False))


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "shapmix.reporting.canvas", raising=False)
    with pytest.raises(ImportError, match=r"pip install matplotlib \(or shapmix\[report\]\)"):
        draw()
