"""Does saliency find the parts that truly move? Ours, gradients and occlusion on the same models.

    OMP_NUM_THREADS=1 python benchmarks/saliency_ground_truth.py [--out FOLDER] [--seeds N]

On the embedded long-tailed actions it is known which parts define a class (`TRUE_PARTS`). The
demo's network is trained with Shap-Mix, and again with its published estimator; every method then
ranks the five parts of the body, for each class (its scores averaged over the class's test clips)
and for each test clip, of its own class. Scores of a part are also divided by its joints ("a
joint"). Of a class with r true parts, precision tells how many of the r highest parts are true,
top 1 whether the highest is, and AP, the average precision, is 1 where all true parts come first.
All are averaged over clips, then classes; mean and standard deviation over training seeds. Where a
method needs absence, the mean training clip stands in, in the bodies that are there. Cost is
counted: passes of the network, forwards and back, for each clip explained. FOLDER may be that of
`synthetic_lt.py`, whose runs are reused; it gets `ground_truth.md` and, class by class,
`ground_truth.json`.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import FeatureAblation, IntegratedGradients, Saliency
from torch import Tensor, nn

from shapmix.commands.demo import METHODS, make_config, make_data
from shapmix.data.motions import LAYOUT
from shapmix.data.synthetic import CLASS_NAMES, TRUE_PARTS
from shapmix.inference.explain import explain_classes
from shapmix.metrics.groups import Ints, class_groups
from shapmix.mixing import ShapMix
from shapmix.mixing.coalitions import generalized_shapley_matrix, part_masks
from shapmix.mixing.functional import presence
from shapmix.mixing.values import class_statistics
from shapmix.reporting.grid import Cell, Name, Number, Table
from shapmix.training.config import TrainConfig
from shapmix.training.data import ClipData
from shapmix.training.evaluation import load_weights
from shapmix.training.files import write_bytes, write_json
from shapmix.training.run import build, finish

PAPER = {"mixer": "shapmix", "mixer_options": {"preset": "paper"}}
RUNS = {"shap-mix": METHODS["shap-mix"], "shap-mix-paper": PAPER}
MASKS = part_masks(LAYOUT).float()
TRUTH = torch.tensor([[p in TRUE_PARTS[c] for p in LAYOUT.part_names] for c in CLASS_NAMES])
Readout = Callable[[Tensor], Tensor]
READOUTS: dict[str, Readout] = {
    "probability": partial(torch.softmax, dim=-1),
    "logit": Tensor.clone,
}
STEPS = 32  # of integrated gradients: as many forwards as there are coalitions of five parts
Quality = dict[str, dict[str, Tensor]]  # of a method, by "classes" and "clips": (K, 3)
MEASURES = ("Precision", "Top 1", "AP")


@dataclass(frozen=True)
class Trained:
    """A finished run: its network, its mixer as built, its test clips `x`, `y`."""

    folder: Path
    model: nn.Module
    mixer: ShapMix
    x: Tensor
    y: Tensor

    @property
    def absent(self) -> Tensor:
        """What stands in for each clip: the background, in the bodies that are there."""
        return torch.where(presence(self.x)[:, None, None, None, :], self.mixer.background, self.x)


@dataclass(frozen=True)
class Attribution:
    """Scores of parts, of single clips `(n, P)` or of classes `(K, P)`, and what they cost."""

    scores: Tensor
    cost: str = "none"


class Counted(nn.Module):
    """A network that counts the clips that pass it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.forwards, self.backwards = model.eval().requires_grad_(False), 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        logits: Tensor = self.model(x)
        if logits.requires_grad:
            logits.register_hook(self._back)
        return logits

    def _back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)

    def cost(self, clips: int) -> str:
        """Passes for each clip explained."""
        back = f" + {self.backwards / clips:g} back" if self.backwards else ""
        return f"{self.forwards / clips:g}{back}"


def load(config: TrainConfig) -> Trained:
    """A run, trained if need be, with the weights of its last epoch."""
    finish(config)
    data = ClipData(config)
    module = build(config, data)
    assert isinstance(module.mixer, ShapMix)
    module.model.load_state_dict(load_weights(config.folder, "last"))
    batches = [(module.transform(b), b.labels) for b in data.plain_loader(data.test)]
    x, y = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    return Trained(config.folder, module.model, module.mixer, x, y)


def shapley(run: Trained) -> Attribution:
    """Exact Shapley values of the parts of every test clip."""
    model, batches = Counted(run.model), zip(run.x.split(50), run.y.split(50), strict=True)
    found = explain_classes(model, batches, LAYOUT, run.mixer.background, len(TRUTH))
    return Attribution(found.clip_parts(), model.cost(len(run.x)))


def tables(run: Trained, name: str) -> Iterable[tuple[str, Attribution]]:
    """What the mixer knew at the end of training, which has paid for it."""
    cost = f"{100 * run.mixer.forwards_share:.0f} % of training"
    with np.load(run.folder / "saliency.npz") as saved:
        last = {k: torch.from_numpy(saved[k][-1]) for k in ("scores", "values") if k in saved}
    drawn = (last["scores"] / run.mixer.choice.tau).softmax(1) @ run.mixer.coalitions.float()
    yield f"{name}: chance to be drawn", Attribution(drawn, cost)
    if "values" in last:
        single = generalized_shapley_matrix(torch.eye(len(MASKS), dtype=torch.bool)).float()
        yield f"{name}: Shapley values", Attribution(last["values"] @ single.T, cost)


def by_captum(run: Trained, method: Any, readout: str, **options: object) -> tuple[Tensor, str]:
    """Attributions of elements, shaped as the clips, and their cost."""
    model, found = Counted(run.model), []
    attribute = method(lambda x: READOUTS[readout](model(x))).attribute
    for x, y, absent in zip(run.x.split(50), run.y.split(50), run.absent.split(50), strict=True):
        baselines = {} if method is Saliency else {"baselines": absent}
        found.append(attribute(x.clone().requires_grad_(), target=y, **baselines, **options))
    return torch.cat(found).detach(), model.cost(len(run.x))


def occlusion(run: Trained, readout: str) -> Attribution:
    """What is lost when the background stands in for one part."""
    part = MASKS.argmax(0).view(1, 1, 1, -1, 1).expand(1, *run.x.shape[1:])
    found, cost = by_captum(run, FeatureAblation, readout, feature_mask=part)
    return Attribution(found[:, 0, 0, MASKS.argmax(1), 0], cost)  # alike within a part


def gradients(run: Trained, readout: str) -> Iterable[tuple[str, Attribution]]:
    """Gradient methods; the elements of a part are summed, with their signs or without."""
    gradient, once = by_captum(run, Saliency, readout, abs=False)
    path, often = by_captum(run, IntegratedGradients, readout, n_steps=STEPS)
    methods = {
        "integrated gradients": (path, often),
        "gradient x (input - background)": (gradient * (run.x - run.absent), once),
        "gradient x input": (gradient * run.x, once),
        "gradient": (gradient, once),
    }
    for title, (elements, cost) in methods.items():
        for sign, values in {"signed": elements, "size": elements.abs()}.items():
            scores = values.sum((1, 2, 4)) @ MASKS.T
            yield f"{title}, {readout}, {sign}", Attribution(scores, cost)


def all_methods(ours: Trained, published: Trained) -> Iterable[tuple[str, Attribution]]:
    """Every method's scores, of whole parts and divided by the joints of a part."""
    energy = ours.x.var(2).sum((1, 3)) @ MASKS.T  # without any model: how much the joints move
    methods = {
        "exact Shapley values": shapley(ours),
        **dict(tables(ours, "online table")),
        **dict(tables(published, "published estimator")),
        "exact Shapley values, run of the published estimator": shapley(published),
        **{f"occlusion, {readout}": occlusion(ours, readout) for readout in READOUTS},
        **dict(chain.from_iterable(gradients(ours, readout) for readout in READOUTS)),
        "motion energy": Attribution(energy),
        "motion energy, over the part's mean": Attribution(energy / energy.mean(0)),
    }
    for name, found in methods.items():
        yield name, found
        if not name.endswith(("drawn", "mean")):  # these do not grow with the part
            yield f"{name}, a joint", replace(found, scores=found.scores / MASKS.sum(1))


def quality(scores: Tensor, truth: Tensor) -> Tensor:
    """Precision at the number of true parts, top 1 and average precision: `(n, P)` to `(n, 3)`."""
    hits = truth.gather(1, scores.argsort(1, descending=True)).double()
    number, place = truth.sum(1, keepdim=True), torch.arange(1, truth.shape[1] + 1)
    found = hits.cumsum(1)
    ap = (hits * found / place).sum(1, keepdim=True) / number
    return torch.cat([found.gather(1, number - 1) / number, hits[:, :1], ap], 1)


def measure(found: Attribution, y: Tensor) -> dict[str, Tensor]:
    """Quality `(K, 3)` of the rankings of classes, and of clips where there are any."""
    if len(found.scores) != len(y):
        return {"classes": quality(found.scores, TRUTH)}
    of_classes = class_statistics(found.scores, y, len(TRUTH))[0]
    of_clips = class_statistics(quality(found.scores, TRUTH[y]), y, len(TRUTH))[0]
    return {"classes": quality(of_classes, TRUTH), "clips": of_clips}


def chance() -> dict[str, Tensor]:
    """Quality of a random ranking: the mean over all of them."""
    orders = torch.tensor(list(permutations(range(len(MASKS)))))
    each = [quality(orders, parts.expand(len(orders), -1)).mean(0) for parts in TRUTH]
    return dict.fromkeys(("classes", "clips"), torch.stack(each))


def table(level: str, seeds: list[Quality], costs: dict[str, str], tail: Ints) -> Table:
    """One row a method, for the rankings of `classes` or of `clips`."""
    titles = ("Method", "Cost", *(t for m in MEASURES for t in (m, f"{m}, tail")))
    columns = tuple(Name(title.lower(), title) for title in titles)
    rows: list[tuple[Cell, ...]] = []
    for method in (method for method in costs if level in seeds[0][method]):
        found = torch.stack([seed[method][level] for seed in seeds])  # (seeds, K, 3)
        groups = torch.stack([found.mean(1), found[:, tail].mean(1)], -1).flatten(1)
        spread = groups.std(0).tolist() if len(seeds) > 1 else [None] * groups.shape[1]
        pairs = zip(groups.mean(0).tolist(), spread, strict=True)
        rows.append((method, costs[method], *(Number(*pair, unit="percent") for pair in pairs)))
    return Table(f"Rankings of the parts of {level}", columns, tuple(rows))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic_lt"))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    data = make_data(args.out, 100, 0)
    seeds, costs = [], {"random": "none"}
    for seed in range(args.seeds):
        configs = [make_config(*data, args.out / f"{n}-s{seed}", 100, seed, RUNS[n]) for n in RUNS]
        ours, published = (load(replace(config, progress=False)) for config in configs)
        found = dict(all_methods(ours, published))
        seeds.append({"random": chance()} | {k: measure(v, ours.y) for k, v in found.items()})
        costs |= {method: one.cost for method, one in found.items()}
        print(f"done: seed {seed}", flush=True)
    tail = class_groups(ours.mixer.class_counts.numpy())["tail"]
    plain = [{m: {k: v.tolist() for k, v in f.items()} for m, f in s.items()} for s in seeds]
    write_json(args.out / "ground_truth.json", plain)
    text = "\n".join(table(k, seeds, costs, tail).markdown() for k in ("classes", "clips"))
    write_bytes(args.out / "ground_truth.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
