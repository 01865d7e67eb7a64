"""How it was made: cost, settings, versions, and the command that repeats it."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from shapmix.reporting.report.inputs import ReportRun
from shapmix.reporting.report.markup import choices, render
from shapmix.reporting.report.section import Section
from shapmix.reporting.tables import duration


def make_section(runs: Sequence[ReportRun]) -> Section:
    """A table of costs and of the settings that differ, then each run for itself."""
    panels = [(run.label, _panel(number, run)) for number, run in enumerate(runs)]
    html = render(
        "configuration.html",
        runs=[_cost(run) for run in runs],
        differing=differing_settings(runs),
        panels=choices("settings", "Run", panels),
    )
    return Section("configuration", "Cost and settings", html)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as text, nested ones by dotted keys."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            found[name] = (
                shlex.join(map(str, value)) if key == "command" else ", ".join(map(str, value))
            )
        else:
            found[name] = "none" if value is None else str(value)
    return found


def differing_settings(runs: Sequence[ReportRun]) -> list[tuple[str, list[str]]]:
    """Settings in which the runs differ, each with the value of every run."""
    settings = [flat(run.run.config) for run in runs]
    keys = dict.fromkeys(key for each in settings for key in each)
    rows = [(key, [each.get(key, "") for each in settings]) for key in keys if key != "out"]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _cost(run: ReportRun) -> dict[str, str]:
    cost = run.run.cost
    return {
        "name": run.label,
        "time": duration(cost["train_seconds"]),
        "speed": f"{cost['clips_per_second']:,.0f}",
        "parameters": f"{cost['parameters']:,.0f}",
        "epochs": str(run.run.last.epoch + 1),
        "machine": str(
            run.run.environment.get("gpu") or run.run.environment.get("processor") or "unknown"
        ),
    }


def _panel(number: int, run: ReportRun) -> Any:
    environment = dict(run.run.environment)
    command = environment.pop("command", None)
    again = ["shapmix", "train", "--config", str(run.run.path / "config.yaml")]
    return render(
        "configuration_run.html",
        number=number,
        started=_quoted(command) if isinstance(command, list) else [],
        folder=environment.get("folder"),
        again=_quoted([*again, "--out", "NEW_FOLDER"]),
        settings=flat(run.run.config),
        versions=flat(environment),
    )


def _quoted(command: Sequence[object]) -> list[str]:
    """The words of a command as a shell takes them."""
    return [shlex.quote(str(word)) for word in command]
