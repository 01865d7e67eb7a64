"""An explanation of one class as plain values, the form that programs are given."""

from itertools import compress
from typing import Any

from torch import Tensor

from shapmix.inference.explain import Explanation
from shapmix.mixing.coalitions import all_coalitions

EFFICIENCY = 1e-5  # largest difference that counts as rounding
_DIGITS = 6


def explanation_json(explanation: Explanation, label: int) -> dict[str, Any]:
    """What an explanation says of class `label`, with plain keys and values.

    * `clips`: how many clips it is the mean of;
    * `v_full`, `v_empty`: probability of the class with all parts there, and with none;
    * `parts`: `{"name", "joints", "value", "error"}` of each, in the order of the layout: the exact
      Shapley value, and its standard error over clips (null with fewer than two clips); joints are
      by name, empty where the parts are not the layout's;
    * `coalitions`: `{"parts", "value", "error"}` of all but the empty one, in bit-mask order: the
      generalised Shapley value;
    * `interactions`: `{"parts", "value", "error"}` of each pair: the Shapley interaction index;
    * `efficiency`: `{"sum_of_parts", "v_full_minus_v_empty", "holds"}`: the parts share out exactly
      what all of them add to none.
    """
    names, layout = explanation.part_names, explanation.layout
    coalitions = all_coalitions(len(names))[1:]
    parts = _pairs(explanation.parts(), explanation.part_errors(), label)
    sets = _pairs(*explanation.shapley_values(coalitions), label)
    between = _pairs(explanation.interactions(), explanation.interaction_errors(), label)
    v_empty, v_full = explanation.values[label, [0, -1]].double().tolist()
    total = float(explanation.parts()[label].double().sum())
    return {
        "clips": int(explanation.clips[label]),
        "v_full": _rounded(v_full),
        "v_empty": _rounded(v_empty),
        "parts": [
            {
                "name": name,
                "joints": [layout.joints[j] for j in layout.parts.get(name, ())],
                **value,
            }
            for name, value in zip(names, parts, strict=True)
        ],
        "coalitions": [
            {"parts": list(compress(names, row)), **value}
            for row, value in zip(coalitions.tolist(), sets, strict=True)
        ],
        "interactions": [
            {"parts": [names[i], names[j]], **between[i * len(names) + j]}
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ],
        "efficiency": {
            "sum_of_parts": _rounded(total),
            "v_full_minus_v_empty": _rounded(v_full - v_empty),
            "holds": abs(total - (v_full - v_empty)) <= EFFICIENCY,
        },
    }


def _pairs(values: Tensor, errors: Tensor, label: int) -> list[dict[str, float | None]]:
    """Values and errors `(K, ...)` of one class, one after the other."""
    both = zip(values[label].flatten().tolist(), errors[label].flatten().tolist(), strict=True)
    return [
        {"value": _rounded(value), "error": _rounded(error) if error == error else None}
        for value, error in both
    ]


def _rounded(value: float) -> float:
    return round(value, _DIGITS) + 0.0  # no -0.0
