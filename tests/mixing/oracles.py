"""The method once more, slowly: loops over clips, frames and joints, written from the paper."""

from itertools import combinations
from math import factorial

import torch


def paste_slowly(x, partner, start, length, source_start, source_length, joints, bodies=None):
    """Frame by frame, joint by joint."""
    out = x.clone()
    n, _, _, v, m = x.shape
    for i in range(n):
        for k in range(int(length[i])):
            source = int(source_start[i]) + (k * int(source_length[i])) // int(length[i])
            for joint in range(v):
                for person in range(m):
                    if joints[i, joint] and (bodies is None or bodies[i, person]):
                        value = x[partner[i], :, source, joint, person]
                        out[i, :, int(start[i]) + k, joint, person] = value
    return out


def kept_area(x, mixed_from_partner, person_present):
    """Share of (frame, joint, present body) cells that are the receiver's, per clip."""
    kept = []
    for cells, present in zip(mixed_from_partner, person_present, strict=True):
        total = pasted = 0
        for person in range(cells.shape[-1]):
            if present[person]:
                total += cells[..., person].numel()
                pasted += int(cells[..., person].sum())
        kept.append(1 - pasted / total if total else 1.0)
    return torch.tensor(kept)


def shapley_slowly(value, coalition, num_parts):
    """Generalised Shapley value of a coalition, from the definition; value: frozenset -> float."""
    outside = [p for p in range(num_parts) if p not in coalition]
    p, s = num_parts, len(coalition)
    total = 0.0
    for t in range(len(outside) + 1):
        weight = factorial(p - s - t) * factorial(t) / factorial(p - s + 1)
        for context in combinations(outside, t):
            with_s = value[frozenset(context) | frozenset(coalition)]
            total += weight * (with_s - value[frozenset(context)])
    return total


def ema_slowly(table, labels, column, scores, momentum):
    """Clip after clip."""
    table = table.clone()
    for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
        table[label, column] = momentum * table[label, column] + (1 - momentum) * score
    return table
