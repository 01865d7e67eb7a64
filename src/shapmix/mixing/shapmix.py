"""Shap-Mix: mixing guided by online Shapley values of body parts, aware of the tail."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor, nn

from shapmix.counts import ClassCounts, check_counts
from shapmix.layouts import Layout
from shapmix.mixing import distributed, functional
from shapmix.mixing.background import check_background, check_form, stretch
from shapmix.mixing.batch import MixedBatch, Mixer
from shapmix.mixing.coalitions import all_coalitions, joint_masks
from shapmix.mixing.draws import draw_context, draw_row, integer
from shapmix.mixing.guidance import Guide
from shapmix.mixing.options import Guidance, GuideOptions, LabelWeight, Partners
from shapmix.mixing.presets import Estimator, resolve
from shapmix.mixing.saliency import (
    ExactSaliency,
    Reservoir,
    SampledSaliency,
    deal,
    plan_refresh,
    score,
    share_quota,
)
from shapmix.mixing.stmix import Draws, STMix
from shapmix.mixing.values import Model, class_values, evaluation, giving_logits

STEP_FORWARDS = 6  # a training step on 2N clips costs as much as 6N evaluation forwards


class ShapMix(nn.Module, Mixer):
    """Shapley-value-guided mixing for long-tailed skeleton data.

    In the first `warmup_epochs` clips are mixed as by `STMix`. After that, in each pair the class
    with fewer training clips decides: a coalition S of its salient parts is drawn from
    `softmax(saliency / tau)`; if the partner is the rarer one, its S is pasted into the receiver;
    else the receiver keeps S and gets the partner's other parts. So the salient parts of the rarer
    class are alive in every mix.

    Use, in any training loop::

        mixed = mixer(x, y)                       # MixedBatch(x, target, partner, lam)
        ...                                       # train on x, y and on mixed.x, mixed.target
        mixer.observe(model, x, y)                # each step; only estimator="sampled" needs it
        mixer.refresh(model)                      # at the end of each epoch

    Args:
        layout: a layout, its name, or the path of its YAML file.
        class_counts: `(K,)` training clips of each class, all positive.
        background: clip that stands in for absent parts, in the model's input space and in the
            order of `dims` without N, `(C, T, V, M)`: see `mean_clip`, which takes `dims` too. It
            is stretched in time when clips have another number of frames. Within an epoch that
            number should not change: a refresh evaluates clips of the last one only.
        preset: `"paper"` for the published choices; single choices below override it.
        estimator: `"exact"` (value table, fed by `refresh`) or `"sampled"` (as published, fed by
            `observe`).
        tau: temperature of the sampling distribution.
        momentum: weight of the old values at an update of the saliency.
        warmup_epochs: epochs of unguided mixing at the start.
        saliency_budget: most evaluation forwards of `"exact"`, as a share of the training compute
            of the epoch; what a small epoch cannot spend is saved for the next.
        clips_per_class: most clips of a class that one refresh looks at.
        eval_batch_size: masked clips in one evaluation forward.
        guidance, guidance_seed, tail_aware: beyond the paper, what guides: see `GuideOptions`.
        label_weight: `"saliency"`, the label of a guided mix follows the share of the rarer class's
            saliency in it, or `"area"`, the share of joints as published (the default where the
            estimator is `"sampled"`); see `GuideOptions`.
        fixed_scores: `(K, Q)` scores of the coalitions in place of the saliency, or their K Q
            numbers row after row; for experiments whose truth is known.
        mixup_prob, window, coalition_sizes, presence, confidence_channel, mixup_confidence,
            per_clip, partners, move_bodies, dims, generator: as in `STMix`.

    Buffers: `epoch` (refreshes so far), `class_counts (K,)`, `background (C, T, V, M)`, `credit`
    (forwards saved for the next refresh), and those of `saliency`. It changes neither its arguments
    nor the model's train/eval flags, gradients or any global random state.

    Source: Zhang, Lin and Liu, Shap-Mix, IJCAI 2024. Deviations: docs/methods/shapmix.md.
    """

    epoch: Tensor
    class_counts: Tensor
    background: Tensor
    credit: Tensor
    _every: Tensor
    _joints: Tensor

    def __init__(
        self,
        layout: Layout | str,
        class_counts: ClassCounts,
        background: Tensor,
        *,
        preset: str = "default",
        estimator: Estimator | None = None,
        tau: float | None = None,
        momentum: float | None = None,
        mixup_prob: float | None = None,
        warmup_epochs: int = 5,
        window: tuple[float, float] = (7 / 16, 11 / 16),
        coalition_sizes: tuple[int, ...] | None = None,
        saliency_budget: float = 0.05,
        clips_per_class: int = 8,
        presence: bool | None = None,
        confidence_channel: int | None = None,
        mixup_confidence: bool | None = None,
        eval_batch_size: int = 256,
        per_clip: bool = False,
        partners: Partners = "shift",
        move_bodies: bool = False,
        guidance: Guidance = "saliency",
        guidance_seed: int = 0,
        tail_aware: bool = True,
        label_weight: LabelWeight | None = None,
        fixed_scores: Tensor | Sequence[float] | None = None,
        dims: str = "NCTVM",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        given = {
            "estimator": estimator,
            "tau": tau,
            "momentum": momentum,
            "mixup_prob": mixup_prob,
            "presence": presence,
            "mixup_confidence": mixup_confidence,
            "label_weight": label_weight,
        }
        self.choice = choice = resolve(preset, given)
        if warmup_epochs < 0 or saliency_budget < 0 or clips_per_class < 1 or eval_batch_size < 1:
            raise ValueError(
                f"warmup_epochs is {warmup_epochs}, saliency_budget {saliency_budget}, "
                f"clips_per_class {clips_per_class}, eval_batch_size {eval_batch_size}; expected "
                "0 or more for the first two and 1 or more for the others"
            )
        self.warmup_epochs = warmup_epochs
        self.saliency_budget = saliency_budget
        self.eval_batch_size = eval_batch_size
        counts = torch.from_numpy(check_counts(class_counts))
        self.stmix = STMix(
            layout,
            counts,
            mixup_prob=choice.mixup_prob,
            window=window,
            coalition_sizes=coalition_sizes,
            presence=choice.presence,
            confidence_channel=confidence_channel,
            mixup_confidence=choice.mixup_confidence,
            per_clip=per_clip,
            partners=partners,
            move_bodies=move_bodies,
            dims=dims,
            generator=generator,
        )
        self.register_buffer("class_counts", counts.clone())
        self.register_buffer("background", check_background(background, self.stmix.boundary))
        self.register_buffer("epoch", torch.tensor(0))
        self.register_buffer("credit", torch.tensor(0))
        every = joint_masks(all_coalitions(self.layout.num_parts), self.stmix.parts)
        joints = joint_masks(self.coalitions, self.stmix.parts).sum(1).float()
        self.register_buffer("_every", every, persistent=False)
        self.register_buffer("_joints", joints, persistent=False)
        guiding = GuideOptions(guidance, guidance_seed, tail_aware, choice.label_weight)
        self.guide = Guide(guiding, self.coalitions, len(counts), fixed_scores)
        self.saliency: ExactSaliency | SampledSaliency
        if choice.estimator == "exact":
            self.saliency = ExactSaliency(len(counts), self.coalitions, joints)
            self.reservoir = Reservoir(len(counts), clips_per_class)
        else:
            self.saliency = SampledSaliency(len(counts), len(joints))
        self._epoch = 0  # the buffer's value, readable without asking the device
        self._seen = 0  # clips mixed since the last refresh
        self.register_load_state_dict_pre_hook(_check_counts)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_after_load)  # type: ignore[no-untyped-call]

    @property
    def layout(self) -> Layout:
        """The skeleton."""
        return self.stmix.layout

    @property
    def coalitions(self) -> Tensor:
        """The coalitions that mixing draws from: `(Q, P)` bool."""
        return self.stmix.coalitions

    @property
    def generator(self) -> Generator:
        """The source of randomness; seed or save it as you do with others."""
        return self.stmix.generator

    @property
    def forwards_share(self) -> float:
        """Evaluation forwards as a share of the training compute: 2N of a step's 6N if sampled."""
        return 2 / STEP_FORWARDS if self.choice.estimator == "sampled" else self.saliency_budget

    @property
    def guided(self) -> bool:
        """Whether the unguided warm-up is over."""
        return self._epoch >= self.warmup_epochs

    def distribution(self) -> Tensor:
        """Probability that each class draws each coalition when guided: `(K, Q)`."""
        return self.guide.distribution(self.saliency.scores(), self.choice.tau)

    def forward(self, x: Tensor, y: Tensor) -> MixedBatch:
        """Mix a batch: `x` clips in the order of `dims`, `y (N,)` int64."""
        clips = self._enter(x, y)
        self._seen += len(clips)
        if isinstance(self.saliency, ExactSaliency):
            self.reservoir.add(clips, y, self.generator)
        draws = self.stmix.draw(clips, y)
        if self.guided and draws.pasted is not None:
            draws = self._draw_guided(y, draws)
        return self.stmix.boundary.leave(self.stmix.mix(clips, y, draws))

    def _enter(self, x: Tensor, y: Tensor) -> Tensor:
        clips = self.stmix.boundary.enter(x, y)
        check_form(self.background, clips)
        return clips

    def _draw_guided(self, y: Tensor, draws: Draws) -> Draws:
        other = y[draws.partners(len(y), y.device)]
        guide = self.rarer(y, other) if self.guide.options.tail_aware else other
        chosen = draw_row(self.generator, self.distribution()[guide])
        pasted = self.pasted_parts(y, other, chosen)
        share = None
        if isinstance(self.saliency, ExactSaliency) and self.choice.label_weight != "area":
            share = self.guide.label_share(self.saliency.part_values(), guide, pasted)
        return replace(draws, pasted=pasted, share=share)

    def rarer(self, y: Tensor, other: Tensor) -> Tensor:
        """Of two classes the one with fewer training clips, the first at a tie: `(N,)`."""
        return torch.where(self.class_counts[other] < self.class_counts[y], other, y)

    def pasted_parts(self, y: Tensor, other: Tensor, chosen: Tensor) -> Tensor:
        """The tail-aware policy: which parts come from the partner, `(N, P)` bool.

        Of receivers of the classes `y (N,)` and partners of the classes `other (N,)`: the coalition
        `chosen (N,)` if the partner is rarer, else its complement; always the coalition without
        `tail_aware`.
        """
        coalition = self.coalitions[chosen]
        if not self.guide.options.tail_aware:
            return coalition
        partner_rarer = self.class_counts[other] < self.class_counts[y]
        return torch.where(partner_rarer[:, None], coalition, ~coalition)

    def observe(self, model: Model, x: Tensor, y: Tensor) -> None:
        """One step of the sampled estimator, at most 2N evaluation forwards; else nothing.

        Draws one coalition S and one context T for the batch and folds the scores of
        `max(v(S + T) - v(T), 0)` into the table. In the warm-up T is empty. As published, the
        momentum counts from the second guided epoch on; until then the last clip counts alone.
        """
        if not isinstance(self.saliency, SampledSaliency):
            return
        clips = self._enter(x, y)
        column = integer(self.generator, 0, len(self.coalitions) - 1)
        context = draw_context(self.generator, self.coalitions[column], empty=not self.guided)
        scores = self.sampled_scores(model, clips, y, column, context)
        momentum = self.choice.momentum if self._epoch > self.warmup_epochs else 0.0
        self.saliency.update(y, column, scores, momentum)

    def sampled_scores(
        self, model: Model, x: Tensor, y: Tensor, column: int, context: Tensor
    ) -> Tensor:
        """`10 * max(v(S + T) - v(T), 0) / joints(S)` for each clip's own class: `(N,)`.

        Args:
            model: in the user's axis order. x: `(N, C, T, V, M)`. y: `(N,)`.
            column: the coalition S. context: `(P,)` bool, T, disjoint from S.
        """
        games = torch.stack([self.coalitions[column] | context, context])
        values = self._values(model, x, y, joint_masks(games, self.stmix.parts))
        return score(values[:, 0] - values[:, 1], self._joints[column])

    def refresh(self, model: Model) -> None:
        """End an epoch. The exact estimator evaluates its clips here, within the budget.

        In a process group every process must call it; values are summed over all of them.
        """
        if isinstance(self.saliency, ExactSaliency):
            self._refresh_values(model, self.saliency)
        self.epoch += 1
        self._epoch += 1
        self._seen = 0

    def _refresh_values(self, model: Model, saliency: ExactSaliency) -> None:
        """Evaluate within the budget, which all processes share, and fold it into the table."""
        own = self.reservoir.available().to(self.class_counts.device)
        known = distributed.stack_over_ranks(torch.cat([own, own.new_tensor([self._seen])]))
        available, seen = known[:, :-1], int(known[:, -1].sum())
        credit = int(self.credit) + int(self.saliency_budget * STEP_FORWARDS * seen)
        inner = len(self._every) - 2
        at_hand = available.sum(0).clamp(max=self.reservoir.per_class)
        patterns = 2 ** self.background.shape[3] if self.choice.presence else 1  # of who is there
        empty = int(available.sum(1).clamp(max=patterns).sum())
        quota, depth = plan_refresh(
            at_hand, saliency.refreshes, self.class_counts, credit - empty, inner
        )
        shares = share_quota(available, quota)
        rank = distributed.rank()
        y, values, chosen = quota.new_empty(0), saliency.values[:0], None
        if int(shares[rank].sum()):
            x, y = self.reservoir.take(shares[rank])
            before = shares[:rank].sum(0) - (shares[rank].cumsum(0) - shares[rank])
            place = torch.arange(len(y), device=y.device) + before[y]
            seats = torch.randperm(inner, generator=Generator().manual_seed(self._epoch))
            chosen = deal(place, quota[y], depth, seats.to(y.device))
            values = self._values(model, x, y, self._every, chosen)
        saliency.update(y, values, self.choice.momentum, chosen)
        spent = int((quota + inner * quota.clamp(max=depth)).sum())
        most = int(at_hand.max()) + inner + empty  # what a class costs: enough is saved for it
        self.credit.fill_(min(credit - spent - empty * (spent > 0), most))
        self.reservoir.clear()

    def _values(
        self, model: Model, x: Tensor, y: Tensor, joints: Tensor, chosen: Tensor | None = None
    ) -> Tensor:
        bodies = functional.presence(x) if self.choice.presence else None
        background = stretch(self.background, x.shape[2])
        with evaluation(model) as run:
            run = self.stmix.boundary.adapt(giving_logits(run, len(self.class_counts)))
            size = self.eval_batch_size
            return class_values(run, x, y, joints, background, bodies, size, chosen)


def _check_counts(mixer: ShapMix, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Refuse the state of another training set, before anything of it is taken."""
    theirs, ours = state.get(f"{prefix}class_counts"), mixer.class_counts
    if theirs is not None and theirs.tolist() != ours.tolist():
        raise ValueError(
            f"the state is of class_counts {theirs.tolist()[:20]} and this mixer has "
            f"{ours.tolist()[:20]}: its saliency belongs to the training set it was learnt from; "
            "make the mixer with the counts of that one, or begin anew without the state"
        )


def _after_load(mixer: ShapMix, _keys: object) -> None:
    mixer._epoch = int(mixer.epoch)
    mixer._seen = 0  # a state is of the end of an epoch: what was seen since is of another run
    if isinstance(mixer.saliency, ExactSaliency):
        mixer.reservoir.clear()
