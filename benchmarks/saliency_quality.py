"""How well saliency is estimated, against how many evaluations of the model that takes.

    python benchmarks/saliency_quality.py DATA_FOLDER [--out FOLDER] [--sets NAME ...]

DATA_FOLDER holds nw_ucla.zip, utd_mhad.zip and msr_action3d.zip, each as its authors publish it;
the command is run in the folder of the source tree. A narrow CTR-GCN is trained on each (with
ST-Mix, so that no estimator has a part in it), and evaluated once on every coalition of every clip.
On these tables estimators are replayed, REPETITIONS times with other random halves of the clips:
what they find on one half is compared with the exact value over the other half ("unseen") and over
their own ("own"). What is there already in FOLDER is used, so a stopped run can be started again.
About half an hour on one idle core. Writes saliency_quality.{md,csv,png}.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from saliency_replay import (
    Estimates,
    Game,
    Halves,
    mean_over_halves,
    replay_exact,
    replay_sampled,
    split_halves,
)
from saliency_tables import SETS, Tables, make_tables
from saliency_tracking import tracking_table

REPETITIONS = 100
BUDGETS = (768, 1536, 3840, 7680, 15360, 30720, 46080)  # evaluations of the sampled estimators
TITLES = {"nw_ucla": "NW-UCLA", "utd_mhad": "UTD-MHAD", "msr_action3d": "MSR-Action3D"}
PUBLISHED = "sampled, as published"  # scored against what it aims at, E max(marginal, 0)
BIASED = f"{PUBLISHED}, against max(φ, 0)"
SAMPLED = {  # name: relu, momentum, paired
    PUBLISHED: (True, 0.9, False),
    "sampled, no relu": (False, 0.9, False),
    "sampled, no relu, running mean": (False, None, False),
    "sampled, antithetic and stratified, running mean": (False, None, True),
}
COMPLETE, SPREAD = "exact, complete clips", "exact, spread over 8 clips"
AGAIN = "exact, spread over 8 clips, again and again"


@dataclass(frozen=True)
class Row:
    """Errors of one estimator after so many evaluations, over all classes or the tail third."""

    data: str
    estimator: str
    setting: str
    evaluations: int
    classes: str
    rmse_unseen: float
    rmse_own: float
    tv: float


def estimates(game: Game, halves: Halves, tables: Tables, batch: int) -> list[tuple]:
    """Every estimator's name, settings and estimates."""
    rng = np.random.default_rng(1)
    steps = [budget // (2 * batch) for budget in BUDGETS]
    found = []
    for name, (relu, momentum, paired) in SAMPLED.items():
        path = replay_sampled(
            game,
            halves,
            tables.class_counts,
            batch,
            steps,
            rng,
            relu=relu,
            momentum=momentum,
            paired=paired,
        )
        for scored in (name, BIASED) if name == PUBLISHED else (name,):
            found.append((scored, [f"{step} steps" for step in steps], path))
    for m in (1, 2, 4, 8):
        found.append((COMPLETE, [f"m = {m}"], replay_exact(game, halves, m, m, rng)))
    for depth in (1, 2, 4):
        found.append((SPREAD, [f"depth {depth}"], replay_exact(game, halves, 8, depth, rng)))
    again = replay_exact(game, halves, 8, 1, rng, refreshes=8)
    found.append((AGAIN, [f"{r + 1} refreshes" for r in range(8)], again))
    return found


def measure(name: str, tables: Tables) -> list[Row]:
    """Errors of all estimators on one data set, and the floor: one whole half against the other."""
    game = Game.of(tables)
    rng = np.random.default_rng(0)
    halves = split_halves(tables.values[None].astype(float), tables.labels, REPETITIONS, 400, rng)
    by_rarity = np.argsort(tables.class_counts, kind="stable")
    groups = {"all": by_rarity, "tail": by_rarity[: len(by_rarity) // 3]}
    truth, own = game.phi(halves.other[0]), game.phi(halves.own[0])
    of_clips = game.clipped(tables.values.astype(float))
    own_clipped, other_clipped = mean_over_halves(of_clips, halves, tables.labels)
    aims = {
        PUBLISHED: (other_clipped, own_clipped),
        BIASED: (np.maximum(truth, 0), np.maximum(own, 0)),
    }
    trained = np.stack(
        [
            game.phi(tables.train_values[tables.train_labels == k].mean(0))
            for k in range(len(tables.class_counts))
        ]
    )
    everything = [
        ("floor: the other half, complete", ["all"], Estimates(np.zeros(1, int), own[None])),
        ("all training clips, complete", ["all"], Estimates(np.zeros(1, int), trained[None, None])),
        *estimates(game, halves, tables, SETS[name].batch_size),
    ]
    rows = []
    for estimator, settings, path in everything:
        aim, aim_own = aims.get(estimator, (truth, own))
        for setting, evaluations, phi in zip(settings, path.evaluations, path.phi, strict=True):
            tv = np.abs(game.distribution(phi) - game.distribution(aim)).sum(-1) / 2
            for group, chosen in groups.items():
                unseen, seen = (
                    float(np.sqrt(np.mean((phi - to)[:, chosen] ** 2))) for to in (aim, aim_own)
                )
                tv_mean = float(np.broadcast_to(tv, truth.shape[:2])[:, chosen].mean())
                rows.append(
                    Row(name, estimator, setting, int(evaluations), group, unseen, seen, tv_mean)
                )
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Error against evaluations, a column a data set; above against unseen clips, below own."""
    names = [name for name in SETS if any(row.data == name for row in rows)]
    fig, axes = plt.subplots(
        2, len(names), figsize=(3.6 * len(names), 6), sharex=True, squeeze=False
    )
    lines = [*SAMPLED, COMPLETE, SPREAD]
    colors = ["#999999", "#d95f02", "#e6ab02", "#a6761d", "#7570b3", "#1b9e77"]
    for column, name in enumerate(names):
        for axis, error in zip(axes[:, column], ("rmse_unseen", "rmse_own"), strict=True):
            own = [row for row in rows if row.data == name and row.classes == "all"]
            for line, color in zip(lines, colors, strict=True):
                points = sorted(
                    (r.evaluations, getattr(r, error)) for r in own if r.estimator == line
                )
                axis.loglog(*zip(*points, strict=True), "o-", color=color, ms=3, label=line)
            if error == "rmse_unseen":
                floor = next(r.rmse_unseen for r in own if r.estimator.startswith("floor"))
                axis.axhline(floor, color="black", ls=":", lw=1, label="all clips of the half")
            axis.grid(alpha=0.3, which="both", lw=0.4)
        axes[0, column].set_title(TITLES[name])
        axes[1, column].set_xlabel("evaluations of the model")
    axes[0, 0].set_ylabel("rmse of φ, unseen clips")
    axes[1, 0].set_ylabel("rmse of φ, the clips drawn from")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncol=3, fontsize=8, frameon=False)
    fig.tight_layout(rect=(0, 0.09, 1, 1))
    fig.savefig(path, dpi=85)


def markdown(rows: list[Row]) -> str:
    """The rows as tables, a table a data set."""
    text = []
    for name in dict.fromkeys(row.data for row in rows):
        text.append(
            f"\n**{TITLES[name]}**\n\n| estimator | | evaluations | rmse of φ, unseen: all | tail "
            "| rmse, own: all | tail | TV: all | tail |\n|---|---|" + "---:|" * 7
        )
        own = [row for row in rows if row.data == name]
        for every, tail in zip(own[::2], own[1::2], strict=True):
            numbers = [
                f"{getattr(row, error):.3f}"
                for error in ("rmse_unseen", "rmse_own", "tv")
                for row in (every, tail)
            ]
            cost = str(every.evaluations) if every.evaluations else "–"
            text.append(f"| {every.estimator} | {every.setting} | {cost} | {' | '.join(numbers)} |")
    return "\n".join(text) + "\n"


def comparison(rows: list[Row]) -> str:
    """How much better the spread estimator is than the sampled ones, at equal cost or error."""
    head = "| data | against | error at equal evaluations | evaluations at equal error |\n|---|---|"
    text = [head + "---:|---:|"]
    for name in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == name and row.classes == "all"]
        spread = next(row for row in own if row.estimator == SPREAD)
        for line in [*SAMPLED, BIASED, COMPLETE]:
            points = sorted((r.evaluations, r.rmse_own) for r in own if r.estimator == line)
            cost, error = np.log(np.array(points)).T
            at_cost = np.exp(np.interp(np.log(spread.evaluations), cost, error))
            order = np.argsort(error)
            reach = np.exp(np.interp(np.log(spread.rmse_own), error[order], cost[order]))
            more = ">" if spread.rmse_own < np.exp(error.min()) else ""
            text.append(
                f"| {TITLES[name]} | {line} | {at_cost / spread.rmse_own:.1f} × lower "
                f"| {more} {reach / spread.evaluations:.1f} × fewer |"
            )
    return "\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the zips")
    parser.add_argument("--out", type=Path, default=Path("runs/saliency_quality"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    args = parser.parse_args()
    mpl.use("Agg")
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    tracked = []
    for name in args.sets:
        tables = make_tables(name, args.data, args.out)
        rows += measure(name, tables)
        if tables.history is not None:
            tracked.append(tracking_table(name, tables))
    text = f"{comparison(rows)}{markdown(rows)}\n{''.join(tracked)}"
    print(text)
    (args.out / "saliency_quality.md").write_text(text)
    with (args.out / "saliency_quality.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Row.__dataclass_fields__)
        writer.writerows(vars(row).values() for row in rows)
    draw(rows, args.out / "saliency_quality.png")


if __name__ == "__main__":
    main()
