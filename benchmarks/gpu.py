"""What a GPU makes of a training step: ceilings, floor, variants, Shap-Mix and the naive loop.

    python benchmarks/gpu.py --out benchmarks/results/speed/gpu.json

One call measures the device's ceilings (copies, matrix products), counts the operations and bytes
of a step of CTR-GCN at full width (N = 64, so 128 clips a step; M = 2, T = 64, V = 25), compares
precisions with float64 and times every variant with device events, medians over repetitions on
random data. --quick takes a tiny size, for a look at the script itself; without a GPU it runs on
the CPU and says so.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from shapmix import (
    Archive,
    BalancedSoftmaxLoss,
    ClipDataset,
    ShapMix,
    Transform,
    create_loader,
    create_model,
    mean_clip,
)
from shapmix.losses import two_term_loss

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "models")]
from naive_loop import NaiveLoop  # noqa: E402
from ntu_like import LT_NTU60, long_tailed_labels, write_archive  # noqa: E402
from straightforward import StraightforwardCTRGCN  # noqa: E402

LAYOUT, CLASSES = "ntu25", 60
LT_NTU60_STEPS = 123  # of 64 clips: an epoch of its 7 892
Step = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each variant")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32 unless a variant says so
    found: dict[str, Any] = {"device": name_of(device), "torch": torch.__version__}
    sections: dict[str, Callable[[], Any]] = {
        "ceilings": lambda: ceilings(device, 512 if args.quick else 8192),
        "work": lambda: work(args.quick),
        "plain": lambda: plain_steps(device, args.quick, args.seconds),
        "shapmix": lambda: shapmix_steps(device, args.quick, args.seconds),
        "end to end": lambda: end_to_end(device, args.quick),
        "precision": lambda: precision(device, args.quick),
        "profile": lambda: profile(device, args.quick),
    }
    if args.compile:
        sections["compiled"] = lambda: compiled_steps(device, args.quick, args.seconds)
    for name, section in sections.items():
        begun = time.perf_counter()
        try:
            found[name] = section()
        except Exception as error:  # the other sections still tell something
            found[name] = {"failed": f"{type(error).__name__}: {error}"}
        print(
            f"## {name} ({time.perf_counter() - begun:.0f} s)\n{json.dumps(found[name], indent=1)}"
        )
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


def name_of(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.processor() or platform.machine()}"


def seconds_of(step: Step, device: torch.device, most: float, warm: int = 5) -> float:
    """Median seconds of a step, after some that do not count."""
    for _ in range(warm):
        step()
    times, begun = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begun < most and len(times) < 200):
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            step()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            before = time.perf_counter()
            step()
            times.append(time.perf_counter() - before)
    return statistics.median(times)


def ceilings(device: torch.device, size: int) -> dict[str, float]:
    """Bytes a second of a copy (read and written), and FLOP a second of matrix products."""
    source = torch.randn(size, size, 4, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.numel() * source.element_size()
    rates = {"copy_GB_s": copied / seconds_of(lambda: target.copy_(source), device, 0.5) / 1e9}
    kinds = {"float32": (torch.float32, False), "tf32": (torch.float32, True)}
    kinds["bfloat16"] = (torch.bfloat16, False)
    for name, (dtype, tf32) in kinds.items():
        a = torch.randn(size, size, device=device).to(dtype)
        b = torch.randn(size, size, device=device).to(dtype)
        torch.backends.cuda.matmul.allow_tf32 = tf32
        took = seconds_of(lambda a=a, b=b: torch.matmul(a, b), device, 0.5)  # type: ignore[misc]
        rates[f"{name}_TFLOP_s"] = 2 * size**3 / took / 1e12
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


def network(quick: bool, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    width = 8 if quick else 64
    return create_model(
        "ctrgcn", LAYOUT, CLASSES, num_persons=2, width=width, absent="zero", **options
    )


def clips(quick: bool, number: int | None = None) -> tuple[Tensor, Tensor]:
    """2N clips of two persons each, and classes."""
    N, T = (2, 16) if quick else (64, 64)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(number or 2 * N, 3, T, 25, 2, generator=generator)
    return x, torch.randint(0, CLASSES, (len(x),), generator=generator)


def work(quick: bool) -> dict[str, float]:
    """Operations of a step as counted, and the bytes that it must move if all of a block is fused.

    Bytes: what enters each block is written and read in the forward pass, read again in the
    backward pass, and its gradient is written and read: five times; weights, gradients and momenta
    are read and written once each.
    """
    model = network(quick)
    x, y = clips(quick, 2)
    entering: list[int] = []
    for block in model.classifier.blocks:
        block.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0].numel()))
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(x), y).backward()
    scale = len(clips(quick)[0]) / len(x)
    parameters = sum(p.numel() for p in model.parameters())
    return {
        "clips": len(clips(quick)[0]),
        "flop": counter.get_total_flops() * scale,
        "bytes": 4 * (5 * sum(entering) * scale + 6 * parameters),
    }


def train_step(
    model: nn.Module,
    forward: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    context: AbstractContextManager[Any],
    fused: bool,
) -> Step:
    """Forward, loss, backward, SGD with Nesterov momentum."""
    options = {"fused": True} if fused and x.is_cuda else {}
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=4e-4, **options
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with context:
            logits = forward(x)
        F.cross_entropy(logits.float(), y).backward()
        optimizer.step()

    return step


def bf16(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16)


def graphed(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """As in training: see `shapmix.training.graphs`."""
    from shapmix.training.graphs import capture

    return capture(model, x)


def plain_steps(device: torch.device, quick: bool, most: float) -> dict[str, dict[str, float]]:
    """A plain training step on 2N clips, variant by variant."""
    x, y = (t.to(device) for t in clips(quick))

    def eager(
        tf32: bool = False, half: bool = False, fused: bool = True, search: bool = False
    ) -> Step:
        torch.backends.cudnn.benchmark = search
        model = network(quick).to(device).train()
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        return train_step(model, model, x, y, bf16(device) if half else nullcontext(), fused)

    def channels_last(half: bool = False) -> Step:
        model = network(quick).to(device).train().to(memory_format=torch.channels_last)
        blocks = model.classifier.blocks
        blocks.register_forward_pre_hook(
            lambda _, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
        )
        return train_step(model, model, x, y, bf16(device) if half else nullcontext(), True)

    def graph(tf32: bool = False, half: bool = False, search: bool = False) -> Step:
        torch.backends.cudnn.benchmark = search
        model = network(quick).to(device).train()
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        context = bf16(device) if half else nullcontext()
        with context:
            forward = graphed(model, x)
        return train_step(model, forward, x, y, context, True)

    variants: dict[str, Callable[[], Step]] = {
        "eager, float32": eager,
        "eager, float32, optimiser not fused": lambda: eager(fused=False),
        "eager, float32, cudnn searches": lambda: eager(search=True),
        "eager, tf32": lambda: eager(tf32=True),
        "eager, bf16": lambda: eager(half=True),
        "channels last, float32": channels_last,
        "channels last, bf16": lambda: channels_last(half=True),
    }
    if device.type == "cuda":
        variants["graphs, float32"] = graph
        variants["graphs, float32, cudnn searches"] = lambda: graph(search=True)
        variants["graphs, bf16, cudnn searches"] = lambda: graph(half=True, search=True)
        variants["graphs, tf32"] = lambda: graph(tf32=True)
        variants["graphs, bf16"] = lambda: graph(half=True)
    return timed_variants(variants, len(x), device, most)


def compiled_steps(device: torch.device, quick: bool, most: float) -> dict[str, dict[str, float]]:
    """The same with each block compiled; those of one shape share what is compiled."""
    x, y = (t.to(device) for t in clips(quick))

    def compiled_blocks(half: bool = False, capture: bool = True, dynamic: bool = False) -> Step:
        torch._dynamo.reset()
        model = network(quick).to(device).train()
        for block in model.classifier.blocks:  # blocks of one shape share what is compiled
            block.compile(dynamic=dynamic)
        context = bf16(device) if half else nullcontext()
        forward: Callable[[Tensor], Tensor] = model
        if capture and device.type == "cuda":
            with context:
                forward = graphed(model, x)
        return train_step(model, forward, x, y, context, True)

    return timed_variants(
        {
            "compiled blocks, graphs, float32": compiled_blocks,
            "compiled blocks, graphs, bf16": lambda: compiled_blocks(half=True),
            "compiled blocks, dynamic, float32": lambda: compiled_blocks(False, False, True),
        },
        len(x),
        device,
        most,
    )


def timed_variants(
    variants: dict[str, Callable[[], Step]], clips: int, device: torch.device, most: float
) -> dict[str, dict[str, float]]:
    """Milliseconds and clips a second of every variant, and when it was ready to begin."""
    rows = {}
    for name, make in variants.items():
        begun = time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            step = make()
            step()
            ready = time.perf_counter() - begun
            took = seconds_of(step, device, most)
            rows[name] = {"ms": 1e3 * took, "clips_per_s": clips / took, "ready_after_s": ready}
            if device.type == "cuda":
                rows[name]["peak_GB"] = torch.cuda.max_memory_allocated() / 1e9
        except Exception as error:
            rows[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}  # type: ignore[dict-item]
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        print(name, rows[name], flush=True)
    return rows


def precision(device: torch.device, quick: bool) -> dict[str, float]:
    """Relative error of logits and of all gradients against float64 on the CPU, 4 clips."""
    x, y = clips(quick, 4)

    def outcome(device: torch.device, context: AbstractContextManager[Any], dtype: torch.dtype):  # type: ignore[no-untyped-def]
        model = network(quick).to(device, dtype).train()
        with context:
            logits = model(x.to(device, dtype))
        F.cross_entropy(
            logits.to(torch.promote_types(logits.dtype, torch.float32)), y.to(device)
        ).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        return logits.detach().double().cpu(), gradient.double().cpu()

    exact = outcome(torch.device("cpu"), nullcontext(), torch.float64)
    rows = {}
    for name, context in (
        ("float32", nullcontext()),
        ("tf32", nullcontext()),
        ("bf16", bf16(device)),
    ):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        ours = outcome(device, context, torch.float32)
        for what, a, b in zip(("logits", "gradients"), ours, exact, strict=True):
            rows[f"{name}, {what}"] = float((a - b).norm() / b.norm())
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if device.type == "cuda":
        x, y = x.to(device), y.to(device)
        model, twin = network(quick).to(device).train(), network(quick).to(device).train()
        captured = graphed(twin, x)
        for forward in (model, captured):
            F.cross_entropy(forward(x), y).backward()
        pairs = [*zip(model.parameters(), twin.parameters(), strict=True)]
        rows["graphs against eager, gradients"] = max(
            float((a.grad - b.grad).norm() / a.grad.norm().clamp(min=1e-30)) for a, b in pairs
        )
        buffers = zip(model.buffers(), twin.buffers(), strict=True)
        rows["graphs against eager, buffers"] = max(
            float((a.float() - b.float()).abs().max()) for a, b in buffers
        )
    return rows


def shapmix_steps(device: torch.device, quick: bool, most: float) -> dict[str, Any]:
    """A step of Shap-Mix, its parts, the refresh after an epoch, and whether anything waits."""
    rows: dict[str, Any] = {}
    for name, context in (("float32", nullcontext()), ("bf16", bf16(device))):
        rows |= {
            f"{what}, {name}": value
            for what, value in one_shapmix(device, quick, most, context).items()
        }
    return rows


def one_shapmix(
    device: torch.device, quick: bool, most: float, context: AbstractContextManager[Any]
) -> dict[str, Any]:
    x, y = (t.to(device) for t in clips(quick))
    double, x, y = x, *(t[: len(t) // 2] for t in (x, y))
    counts = torch.linspace(400, 5, CLASSES).long()
    model = network(quick).to(device).train()
    mixer = ShapMix(LAYOUT, counts, x.mean(0).cpu(), warmup_epochs=0).to(device)
    criterion = BalancedSoftmaxLoss(counts).to(device)
    with context:
        forward = graphed(model, double) if x.is_cuda else model
    options = {"fused": True} if x.is_cuda else {}
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=4e-4, **options
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        mixed = mixer(x, y)
        with context:
            logits, logits_mixed = forward(torch.cat([x, mixed.x])).float().chunk(2)
        (criterion(logits, y) + criterion(logits_mixed, mixed.target)).backward()
        optimizer.step()

    def mix() -> None:
        mixer(x, y)

    rows: dict[str, Any] = {
        "step, ms": 1e3 * seconds_of(step, device, most),
        "mixing, ms": 1e3 * seconds_of(mix, device, most),
    }
    if x.is_cuda:
        rows["waits for the device in a step"] = waits(step)
    refreshes = []
    for _ in range(1 if quick else 4):
        for _ in range(LT_NTU60_STEPS):
            mix()
        synchronize(device)
        begun = time.perf_counter()
        with context:
            mixer.refresh(model)
        synchronize(device)
        refreshes.append(1e3 * (time.perf_counter() - begun))
    rows["refresh after an epoch, ms, the first and the others"] = refreshes
    epoch = LT_NTU60_STEPS * rows["step, ms"] + refreshes[-1]
    rows["clips a second over an epoch"] = 1e3 * LT_NTU60_STEPS * len(double) / epoch
    return rows


def end_to_end(device: torch.device, quick: bool) -> dict[str, Any]:
    """From the archive: our loop, and one built as the released program is, both on the device.

    80 % of the clips have one person; N = 64. Loading is in this process for both.
    """
    clips, N = (24, 8) if quick else (768, 64)
    options: dict[str, Any] = {"width": 8} if quick else {}
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        archive = write_archive(Path(folder) / "a.arrow", long_tailed_labels(clips), CLASSES)
        loops: dict[str, Callable[[], Any]] = {
            "ours, float32": lambda: OursOnDevice(archive, device, N, nullcontext(), options),
            "ours, bf16": lambda: OursOnDevice(archive, device, N, bf16(device), options),
            "naive, float32": lambda: NaiveOnDevice(archive, device, N, options),
        }
        for name, make in loops.items():
            loop = make()
            times = []
            for _ in range(2):  # the second epoch counts
                synchronize(device)
                begun, steps = time.perf_counter(), 0
                for _ in loop.epoch():
                    steps += 1
                synchronize(device)
                times.append((time.perf_counter() - begun) / (2 * N * steps))
            rows[f"{name}, clips/s"] = 1 / times[-1]
    rows["ours over naive, float32"] = (
        rows["ours, float32, clips/s"] / rows["naive, float32, clips/s"]
    )
    rows["ours in bf16 over naive"] = rows["ours, bf16, clips/s"] / rows["naive, float32, clips/s"]
    loader = create_loader(ClipDataset(archive, num_persons=2), N)
    begun = time.perf_counter()
    seen = sum(len(batch) for batch in loader)
    rows["loader alone, clips/s, in one process"] = seen / (time.perf_counter() - begun)
    return rows


class OursOnDevice:
    """Shap-Mix past its warm-up, with its refresh; absent bodies are passed over."""

    def __init__(
        self,
        archive: Archive,
        device: torch.device,
        N: int,
        context: AbstractContextManager[Any],
        options: dict[str, Any],
    ) -> None:
        self.device, self.context = device, context
        self.transform, self.source = Transform(LAYOUT).to(device), torch.Generator().manual_seed(0)
        clips = ClipDataset(archive, num_persons=2)
        self.loader = create_loader(
            clips, N, shuffle=True, drop_last=True, pin_memory=device.type == "cuda"
        )
        background = mean_clip(self.transform(b.to(device)) for b in create_loader(clips, N))
        self.mixer = ShapMix(LAYOUT, LT_NTU60, background, warmup_epochs=0).to(device)
        self.criterion = BalancedSoftmaxLoss(LT_NTU60).to(device)
        self.model = create_model("ctrgcn", LAYOUT, CLASSES, num_persons=2, **options).to(device)
        fused = {"fused": True} if device.type == "cuda" else {}
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), 0.1, 0.9, weight_decay=4e-4, nesterov=True, **fused
        )

    def epoch(self) -> Iterator[None]:
        """Train on every batch, then refresh the saliency."""
        for batch in self.loader:
            batch = batch.to(self.device)
            x, y = self.transform(batch, self.source), batch.labels
            mixed = self.mixer(x, y)
            with self.context:
                logits, logits_mixed = self.model(torch.cat([x, mixed.x])).float().chunk(2)
            loss = two_term_loss(self.criterion, logits, y, logits_mixed, mixed.target)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            yield
        with self.context:
            self.mixer.refresh(self.model)


class NaiveOnDevice(NaiveLoop):
    """The naive loop with its batches moved to the device one by one."""

    def __init__(
        self, archive: Archive, device: torch.device, N: int, options: dict[str, Any]
    ) -> None:
        model = StraightforwardCTRGCN(LAYOUT, CLASSES, num_persons=2, **options).to(device)
        super().__init__(archive, torch.as_tensor(LT_NTU60).float(), model, N)
        self.device = device
        self.log_prior, self.background = self.log_prior.to(device), self.background.to(device)

    def step(self, x: Tensor, y: Tensor) -> float:
        """As the naive loop, on the device."""
        return super().step(x.to(self.device), y.to(self.device))


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def waits(step: Step) -> str:
    """ "none", or what made the host wait for the device in a step."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    except RuntimeError as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error} ({Path(where.filename).name}:{where.lineno})"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "none"


def profile(device: torch.device, quick: bool) -> list[str]:
    """The operations on which an eager float32 step spends its time."""
    x, y = (t.to(device) for t in clips(quick))
    model = network(quick).to(device).train()
    step = train_step(model, model, x, y, nullcontext(), True)
    for _ in range(3):
        step()
    with torch.profiler.profile() as profiler:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=key, row_limit=30, max_name_column_width=70)
    return table.splitlines()


if __name__ == "__main__":
    main()
