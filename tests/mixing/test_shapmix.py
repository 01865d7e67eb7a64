import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ema_slowly, kept_area

from shapmix.layouts import Layout, get_layout
from shapmix.mixing import Mixup, NoMix, ShapMix, STMix
from shapmix.mixing.functional import presence
from shapmix.mixing.stmix import Draws
from shapmix.mixing.values import evaluation

COUNTS = [500, 120, 60, 17, 9, 6]


def make_all(layout, counts, background, **options):
    return {
        "none": NoMix(layout, counts),
        "mixup": Mixup(layout, counts, **options),
        "stmix": STMix(layout, counts, **options),
        "shapmix": ShapMix(layout, counts, background, warmup_epochs=0, **options),
        "paper": ShapMix(layout, counts, background, preset="paper", warmup_epochs=0, **options),
    }


KINDS = ("none", "mixup", "stmix", "shapmix", "paper")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(
    clips=st.integers(1, 7),
    frames=st.integers(8, 23),
    persons=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_every_mixer_on_every_shape(kind, clips, frames, persons, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, 3, frames, 20, persons, generator=generator)
    y = torch.randint(0, 6, (clips,), generator=generator)
    background = torch.zeros(3, 12, 20, persons)
    options = {} if kind == "none" else {"generator": generator}
    mixer = make_all("kinect20", COUNTS, background, **options)[kind]
    before = x.clone()
    for _ in range(4):
        mixed = mixer(x, y)
        assert torch.equal(x, before)
        assert mixed.x.shape == x.shape
        torch.testing.assert_close(mixed.target.sum(1), torch.ones(clips))
        assert ((mixed.lam >= 0) & (mixed.lam <= 1)).all()
        if clips == 1 or kind == "none":
            assert torch.equal(mixed.x, x)
            assert torch.equal(mixed.lam, torch.ones(clips))
        else:
            assert (mixed.partner != torch.arange(clips)).all(), "mixed with itself"
        mixer.observe(lambda z: z.mean((2, 3, 4)) @ torch.ones(3, 6), x, y)
    mixer.refresh(lambda z: z.mean((2, 3, 4)) @ torch.ones(3, 6))


@pytest.mark.parametrize("seed", range(20))
def test_lam_is_the_area_of_present_bodies_that_is_kept(seed, batch):
    """The partner's clip is made of a value of its own, so pasted cells can be counted."""
    x, y = batch
    marks = torch.arange(1.0, 13).view(12, 1, 1, 1, 1) * (x != 0)
    mixer = STMix("ntu25", COUNTS, mixup_prob=0, generator=torch.Generator().manual_seed(seed))
    mixed = mixer(marks, y)
    from_partner = mixed.x[:, 0] == mixed.partner.view(12, 1, 1, 1) + 1.0
    torch.testing.assert_close(mixed.lam, kept_area(marks, from_partner, presence(x)))
    assert torch.equal(presence(mixed.x), presence(x)), "a body appeared or vanished"
    target = torch.zeros(12, 6)
    for i in range(12):
        target[i, y[i]] += mixed.lam[i]
        target[i, y[mixed.partner[i]]] += 1 - mixed.lam[i]
    torch.testing.assert_close(mixed.target, target)


def test_mixup_share(batch):
    mixer = STMix("ntu25", COUNTS, generator=torch.Generator().manual_seed(0))
    pasted = [mixer(*batch).paste is not None for _ in range(600)]
    assert sum(pasted) / len(pasted) == pytest.approx(0.75, abs=0.06)


def test_published_lam_ignores_presence(batch, background):
    x, y = batch
    mixer = ShapMix("ntu25", COUNTS, background, preset="paper", mixup_prob=0)
    mixed = mixer(x, y)
    area = mixed.paste.length * mixed.paste.joints.sum(1) / (16 * 25)
    torch.testing.assert_close(1 - mixed.lam, area)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_rarer_class_is_found_by_counts_not_by_label(order, background):
    """The trap of the released program: label order is no order of size."""
    sizes = torch.tensor([300, 40, 6])
    counts = sizes[torch.tensor(order)]
    mixer = ShapMix("ntu25", counts, background, warmup_epochs=0, mixup_prob=0)
    with torch.no_grad():
        mixer.saliency.values.zero_()
    y, other = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")
    y, other = y.flatten(), other.flatten()
    chosen = torch.arange(9)
    pasted = mixer.pasted_parts(y, other, chosen)
    for i in range(9):
        coalition = mixer.coalitions[i]
        partner_rarer = counts[other[i]] < counts[y[i]]
        assert torch.equal(pasted[i], coalition if partner_rarer else ~coalition)
        rarest = other[i] if partner_rarer else y[i]
        assert mixer.rarer(y, other)[i] == rarest


def test_salient_parts_of_the_rarer_class_stay_alive(background, generator):
    """Class 1 is rare and its salient coalition is known: it is in every mix, whole."""
    mixer = ShapMix(
        "ntu25",
        [100, 5],
        background[..., :1],
        warmup_epochs=0,
        mixup_prob=0,
        generator=generator,
        tau=1e-4,
    )
    column = 12
    members = mixer.coalitions[column]
    values = (torch.arange(32)[:, None] >> torch.arange(5) & 1 == 1).float() @ members.float()
    mixer.saliency.values[1] = (values == members.sum()).float()
    best = mixer.distribution()[1].argmax()
    assert mixer.coalitions[best][members].all()
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    for _ in range(20):
        x = torch.randn(6, 3, 16, 25, 1, generator=generator)
        mixed = mixer(x, y)
        other = y[mixed.partner]
        pasted = mixed.paste.joints
        salient = (mixer.coalitions[best].float() @ mixer.stmix.parts.float()) > 0
        for i in range(6):
            if y[i] != other[i]:
                alive = pasted[i] if other[i] == 1 else ~pasted[i]
                assert torch.equal(alive, salient)


def test_warm_up_is_unguided(batch, background, model):
    mixer = ShapMix("ntu25", COUNTS, background, warmup_epochs=2, mixup_prob=0)
    for epoch in range(4):
        assert int(mixer.epoch) == epoch
        joints = mixer(*batch).paste.joints
        same_for_all = bool((joints == joints[0]).all())
        assert same_for_all == (epoch < 2)
        mixer.refresh(model)


def test_published_warm_up_has_no_context_and_no_memory(batch, background, model):
    """Through the first guided epoch an entry is the last clip's score alone, then an average."""
    x, y = batch
    mixer = ShapMix("ntu25", COUNTS, background, preset="paper", warmup_epochs=1)
    calls = []
    original = mixer.sampled_scores

    def spy(*args):
        calls.append((args[3], args[4], original(*args)))
        return calls[-1][2]

    mixer.sampled_scores = spy
    for epoch in range(3):
        for _ in range(10):
            before = mixer.saliency.table.clone()
            mixer.observe(model, x, y)
            column, context, scores = calls[-1]
            expected = ema_slowly(before, y, column, scores, 0.9 if epoch == 2 else 0.0)
            torch.testing.assert_close(mixer.saliency.table, expected)
            assert epoch > 0 or not context.any()
        mixer.refresh(model)
    assert any(context.any() for _, context, _ in calls)


def test_sampled_scores_against_one_clip_at_a_time(batch, background, model):
    """10 max(v(S + T) - v(T), 0) / joints(S), every masked clip made and seen on its own."""
    x, y = batch
    mixer = ShapMix("ntu25", COUNTS, background, estimator="sampled")
    model.eval()
    column, context = 13, torch.tensor([False, True, False, False, False])
    assert not (mixer.coalitions[column] & context).any()
    scores = mixer.sampled_scores(model, x, y, column, context)
    parts = list(mixer.layout.parts.values())
    for i in range(len(x)):
        value = []
        for keep in (mixer.coalitions[column] | context, context):
            clip = background.clone()
            for p in keep.nonzero().flatten().tolist():
                clip[:, :, list(parts[p])] = x[i][:, :, list(parts[p])]
            clip[..., ~(x[i] != 0).flatten(0, 2).any(0)] = 0
            value.append(float(model(clip[None]).softmax(1)[0, y[i]].detach()))
        joints = sum(len(parts[p]) for p in mixer.coalitions[column].nonzero().flatten().tolist())
        expected = 10 * max(value[0] - value[1], 0) / joints
        assert float(scores[i]) == pytest.approx(expected, abs=1e-5)


def test_batch_of_one_class_and_absent_classes(background, model):
    mixer = ShapMix("ntu25", COUNTS, background, warmup_epochs=0, saliency_budget=100)
    x, y = torch.randn(4, 3, 16, 25, 2), torch.full((4,), 3)
    mixed = mixer(x, y)
    torch.testing.assert_close(mixed.target, torch.eye(6)[y])
    mixer.refresh(model)
    assert mixer.saliency.refreshes.tolist() == [0, 0, 0, 1, 0, 0]
    assert torch.isfinite(mixer(x, y).x).all()


def test_a_clip_without_any_body_is_left_alone(background):
    mixer = ShapMix("ntu25", COUNTS, background, warmup_epochs=0)
    x, y = torch.randn(4, 3, 16, 25, 2), torch.arange(4)
    x[2] = 0
    for _ in range(10):
        mixed = mixer(x, y)
        assert not mixed.x[2].any()
        assert mixed.lam[2] == 1
        assert mixed.lam[1] == 1 or mixed.partner[1] != 2


@pytest.mark.parametrize(
    "counts",
    [
        *([5, 0, 3], [5, -1], [0, 0], [4], [[3, 4]], [1.5, 2]),
        *([3, float("inf")], [1e30, 2], [[1], [2, 3]], {"walk": 3, "fall": 2}, None, "34"),
    ],
)
def test_impossible_class_counts(counts, background):
    with pytest.raises(ValueError, match=r"classes \[|at least two classes|without fractions"):
        ShapMix("ntu25", counts, background)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x[:, :, :4], y), "at least 8"),
        (lambda x, y: (x[..., :10, :], y), "10 joints where layout 'ntu25' has 25"),
        (lambda x, y: (x[0], y), "five axes NCTVM"),
        (lambda x, y: (x.long(), y), "floating point"),
        (lambda x, y: (x, y[:3]), "int64 class indices"),
        (lambda x, y: (x, y.float()), "int64 class indices"),
        (lambda x, y: (x, y + 1), "labels from 1 to 6; expected 0 to 5"),
        (lambda x, y: (x.masked_fill(x > 3, torch.nan), y), "NaN or infinite"),
        (lambda x, y: (x[:0], y[:0]), "empty batch"),
        (lambda x, y: (x.numpy(), y), "x is a ndarray"),
        (lambda x, y: (x, y.tolist()), "y is a list"),
    ],
)
def test_errors_at_the_boundary(spoil, message, batch, background):
    x, y = batch
    for mixer in make_all("ntu25", COUNTS, background).values():
        with pytest.raises(ValueError, match=message):
            mixer(*spoil(x, y))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "papre"}, "default, paper"),
        ({"estimator": "guess"}, "exact"),
        ({"tau": 0.0}, "tau > 0"),
        ({"momentum": 1.0}, "momentum in"),
        ({"dims": "NCTV"}, "N first"),
        ({"mixup_prob": 1.2}, "a probability"),
        ({"tau": float("nan")}, "tau > 0"),
        ({"clips_per_class": 0}, "clips_per_class 0"),
        ({"saliency_budget": -0.1}, "saliency_budget -0.1"),
        ({"window": (0.8, 0.5)}, "the shortest first"),
        ({"generator": 3}, r"generator is 3; expected a torch\.Generator"),
    ],
)
def test_errors_of_the_constructor(options, message, background):
    with pytest.raises(ValueError, match=message):
        ShapMix("ntu25", COUNTS, background, **options)


def test_background_must_fit():
    with pytest.raises(ValueError, match="expected one clip"):
        ShapMix("ntu25", COUNTS, torch.zeros(2, 3, 16, 25, 1))
    with pytest.raises(ValueError, match="20 joints"):
        ShapMix("ntu25", COUNTS, torch.zeros(3, 16, 20, 1))
    for foreign in (None, torch.zeros(3, 16, 25, 1).numpy()):
        with pytest.raises(ValueError, match=r"background is a .*mean_clip"):
            ShapMix("ntu25", COUNTS, foreign)


def test_background_must_fit_the_clips(batch, background):
    x, y = batch
    one_person = ShapMix("ntu25", COUNTS, background[..., :1])
    with pytest.raises(ValueError, match="3 channels and 1 persons, x has 3 and 2"):
        one_person(x, y)


def test_foreign_axes_give_the_same(batch, background, model):
    x, y = batch
    ours = ShapMix("ntu25", COUNTS, background, generator=torch.Generator().manual_seed(3))
    theirs = ShapMix(
        "ntu25",
        COUNTS,
        background.permute(3, 1, 2, 0),
        dims="NMTVC",
        generator=torch.Generator().manual_seed(3),
    )
    model.eval()  # a lambda hides the module, so nobody else can
    foreign = lambda clips: model(clips.permute(0, 4, 2, 3, 1))  # noqa: E731
    for mixer, clips, run in [(ours, x, model), (theirs, x.permute(0, 4, 2, 3, 1), foreign)]:
        mixer.saliency_budget, mixer.warmup_epochs = 100, 1
        mixer.mixed = [mixer(clips, y)]
        mixer.refresh(run)
        mixer.mixed.append(mixer(clips, y))
    for a, b in zip(ours.mixed, theirs.mixed, strict=True):
        assert torch.equal(a.x, b.x.permute(0, 4, 2, 3, 1))
        assert torch.equal(a.target, b.target)
    torch.testing.assert_close(ours.saliency.values, theirs.saliency.values)


@pytest.mark.parametrize("kind", ["shapmix", "paper"])
def test_state_is_in_the_state_dict(kind, batch, background, model):
    """A mixer loaded in the middle goes on exactly as the one that was saved."""
    x, y = batch

    def epoch(mixer):
        out = mixer(x, y)
        mixer.observe(model, x, y)
        mixer.refresh(model)
        return out

    first = make_all("ntu25", COUNTS, background, generator=torch.Generator().manual_seed(0))[kind]
    for _ in range(3):
        epoch(first)
    seed = first.generator.get_state()
    other = torch.Generator()
    other.set_state(seed)
    second = make_all("ntu25", COUNTS, torch.zeros_like(background), generator=other)[kind]
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.guided == first.guided
    for _ in range(3):
        a, b = epoch(first), epoch(second)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.target, b.target)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    for name in ("epoch", "class_counts", "background", "credit"):
        assert name in first.state_dict()


def test_the_state_of_other_counts_is_refused(background):
    mixer = ShapMix("ntu25", COUNTS, background)
    state = ShapMix("ntu25", COUNTS[::-1], background).state_dict()
    with pytest.raises(ValueError, match=r"state is of class_counts \[6, 9, 17.*begin anew"):
        mixer.load_state_dict(state)
    inside = torch.nn.ModuleDict({"mixer": mixer})
    with pytest.raises(ValueError, match="state is of class_counts"):
        inside.load_state_dict({f"mixer.{name}": value for name, value in state.items()})
    assert mixer.class_counts.tolist() == COUNTS


@pytest.mark.parametrize("of", ["the module", "a function", "a function of a wrapper"])
def test_nothing_of_the_users_is_changed(of, batch, background, model):
    """Flags of every submodule, gradients, and global randomness."""
    x, y = batch
    wrapper = torch.nn.Sequential(model, torch.nn.Dropout(0.9))
    asked = {
        "the module": model,
        "a function": lambda clips: (model(clips), None)[0],
        "a function of a wrapper": lambda clips: wrapper(clips),
    }[of]
    model.train()
    model.norm.eval()
    running = model.norm.running_mean.clone()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for mixer in make_all("ntu25", COUNTS, background, generator=None).values():
        if hasattr(mixer, "saliency_budget"):
            mixer.saliency_budget = 100
        mixer(x, y)
        mixer.observe(asked, x, y)
        mixer.refresh(asked)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert wrapper.training
    assert model.drop.training
    assert not model.norm.training
    assert torch.equal(model.norm.running_mean, running)
    assert all(p.grad is None for p in model.parameters())


def test_same_seed_same_mixes(batch, background):
    def run(seed):
        mixer = STMix("ntu25", COUNTS, generator=torch.Generator().manual_seed(seed))
        return torch.stack([mixer(*batch).x for _ in range(5)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_under_autocast_and_in_half_precision(batch, background, model):
    x, y = batch
    mixer = ShapMix("ntu25", COUNTS, background, warmup_epochs=0, saliency_budget=100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixer(x, y)
        mixer.refresh(model)
        scores = mixer.saliency.scores()
    assert mixer.saliency.values.dtype == scores.dtype == torch.float32
    assert torch.equal(scores, mixer.saliency.scores())
    mixed = mixer(x.bfloat16(), y)
    assert mixed.x.dtype == torch.bfloat16
    assert mixed.target.dtype == torch.float32


def test_confidence_travels_with_its_joint(generator):
    """Channel 2 of a 2D layout: pasted with the joint, never averaged unless asked."""
    layout = get_layout("coco17")
    x = torch.randn(6, 3, 16, 17, 1, generator=generator)
    x[:, 2] = torch.arange(6.0).view(6, 1, 1, 1) + 1
    y = torch.arange(6)
    background = torch.zeros(3, 16, 17, 1)
    careful = ShapMix(layout, COUNTS, background, confidence_channel=2, mixup_prob=1.0)
    asked = ShapMix(
        layout, COUNTS, background, confidence_channel=2, mixup_prob=1.0, mixup_confidence=True
    )
    for _ in range(5):
        confidence = careful(x, y).x[:, 2]
        assert torch.equal(confidence, confidence.round())
        mixed = asked(x, y)
        w = (1 - mixed.lam).view(6, 1, 1, 1)
        torch.testing.assert_close(mixed.x[:, 2], (1 - w) * x[:, 2] + w * x[mixed.partner, 2])
    pasting = ShapMix(layout, COUNTS, background, confidence_channel=2, mixup_prob=0.0)
    mixed = pasting(x, y)
    moved = mixed.x[:, 0] != x[:, 0]
    partner = x[mixed.partner, 2][moved]
    assert torch.equal(mixed.x[:, 2][moved], partner)


@pytest.mark.parametrize("parts", range(2, 9))
def test_any_number_of_parts(parts):
    joints = [f"j{i}" for i in range(parts + 1)]
    layout = Layout.from_dict(
        {
            "name": "chain",
            "joints": joints,
            "bones": [[joints[i + 1], joints[i]] for i in range(parts)],
            "center": "j0",
            "parts": {"a": ["j0", "j1"], **{f"p{i}": [f"j{i}"] for i in range(2, parts + 1)}},
        }
    )
    mixer = ShapMix(layout, [9, 4], torch.zeros(3, 8, parts + 1, 1), warmup_epochs=0)
    mixer.saliency_budget = 1e6
    x, y = torch.randn(6, 3, 12, parts + 1, 1), torch.arange(6) % 2
    mixer(x, y)
    mixer.refresh(lambda clips: clips[:, :2].mean((2, 3, 4)))
    assert mixer.saliency.values.shape == (2, 2**parts)
    assert mixer(x, y).x.shape == x.shape


def test_a_state_leaves_nothing_of_what_was_seen_before(batch, background):
    mixer = ShapMix("ntu25", COUNTS, background)
    state = copy.deepcopy(mixer.state_dict())
    mixer(*batch)
    mixer.load_state_dict(state)
    assert mixer._seen == 0
    assert int(mixer.reservoir.available().sum()) == 0


def test_a_distributed_model_inside_of_another_does_not_communicate(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1
    )
    try:
        inner = torch.nn.parallel.DistributedDataParallel(torch.nn.BatchNorm1d(3))
        model = torch.nn.Sequential(inner)
        assert inner.will_sync_module_buffers()
        with evaluation(model) as run:
            assert not inner.will_sync_module_buffers()
            assert run(torch.ones(2, 3)).shape == (2, 3)
        assert inner.will_sync_module_buffers()
        assert inner.training
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
def test_a_function_around_a_module_is_evaluated_as_the_module(batch, background, model, estimator):
    """Without dropout and with running statistics, whatever calls the module."""
    learnt = []
    for asked in (model, lambda clips: (model(clips), clips)[0]):
        generator = torch.Generator().manual_seed(0)
        mixer = ShapMix(
            *("ntu25", COUNTS, background),
            estimator=estimator,
            saliency_budget=100.0,
            generator=generator,
        )
        mixer(*batch)
        learn(mixer, asked, batch)
        learnt.append(mixer.saliency.scores())
    assert learnt[0].any()
    assert torch.equal(*learnt)


def learn(mixer, model, batch):
    """What a loop calls; each estimator evaluates the model in one of the two."""
    mixer.observe(model, *batch)
    mixer.refresh(model)


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
@pytest.mark.parametrize("extra", [-1, 1, None])
def test_a_model_that_gives_no_logits_of_the_classes_is_refused(
    batch, background, estimator, extra
):
    def model(clips):
        logits = clips.new_zeros(len(clips), len(COUNTS) + (extra or 0))
        return (logits, clips) if extra is None else logits

    mixer = ShapMix("ntu25", COUNTS, background, estimator=estimator, saliency_budget=10.0)
    mixer(*batch)
    with pytest.raises(ValueError, match=r"the model gives .* expected logits of shape"):
        learn(mixer, model, batch)


def test_draws_without_parts_are_refused(batch, background):
    with pytest.raises(ValueError, match="window and the pasted parts"):
        STMix("ntu25", COUNTS).mix(*batch, Draws(1))


def test_no_loop_over_clips():
    """Mixing a batch calls the same number of tensor operations whatever its size."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    calls = []
    for clips in (4, 64):
        mixer = ShapMix(
            "ntu25",
            COUNTS,
            torch.zeros(3, 16, 25, 1),
            warmup_epochs=0,
            mixup_prob=0.0,
            generator=torch.Generator().manual_seed(0),
        )
        x, y = torch.randn(clips, 3, 16, 25, 1), torch.arange(clips) % 6
        mixer(x, y)
        with Count() as counter:
            mixer(x, y)
        calls.append(counter.calls)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("channel", [-1, 3])
@pytest.mark.parametrize("kind", ["mixup", "stmix", "shapmix"])
def test_a_confidence_channel_that_clips_do_not_have(layout, batch, background, kind, channel):
    mixer = make_all(layout, COUNTS, background, confidence_channel=channel)[kind]
    with pytest.raises(ValueError, match=f"confidence_channel is {channel} and x has 3 channels"):
        mixer(*batch)
