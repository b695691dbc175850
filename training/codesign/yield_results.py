"""Metrics, tables and sentences of the study of yield."""

import math
from typing import Any

from hfsim.hybrid import MECHANISMS
from training.codesign.configuration import CoDesign
from training.codesign.stage import Found
from training.codesign.yield_figures import figures
from training.job import Results, Table, metric

PARTS = ("search", "margin", "check", "slopes")
"""Stages of a mechanism."""
SYMBOLS = {"P_r": "2 P_r", "E_c": "E_c", "V_C": "V_C"}
WAYS = {"gradient": "by gradient", "random": "random search", "grid": "grid"}
SPECIFICATIONS = {
    "published": "published",
    **WAYS,
    "margin": "by gradient, times a factor for chips",
    "images": "by gradient, times a factor for images",
}
WITH_INTERVAL = ("yield", "low", "high", "median", "lost", "histogram")


def present(config: CoDesign, found: dict[str, Found]) -> Results:
    """What is done by now: mechanisms of which all stages are."""
    done = [name for name in MECHANISMS if all(f"{name}-{part}" in found for part in PARTS)]
    metrics: dict[str, dict[str, Any]] = {"mechanisms": metric(done, "1")}
    for name in done:
        stages = {part: found[f"{name}-{part}"] for part in PARTS}
        metrics |= {f"{name}_{key}": entry for key, entry in _metrics(stages).items()}
    value = {name: entry["value"] for name, entry in metrics.items()}
    return Results(
        title="Yield: how far devices may spread",
        metrics=metrics,
        highlights=[(f"{value[f'{m}_test_images_yield']:.2%}", f"of the chips, {m}, test images") for m in done],
        figures=figures(value) if done else {},
        tables=[table for name in done for table in tables(value, name)],
        notes=[sentence for name in done for sentence in sentences(value, name)],
        summary=[sentence for name in done for sentence in sentences(value, name)],
    )


def _metrics(stages: dict[str, Found]) -> dict[str, dict[str, Any]]:
    """Entries of one mechanism, flat."""
    search, margin, check, slopes = (stages[part] for part in PARTS)
    spreads = {"published": search["published"], **{name: one["spreads"] for name, one in margin.items()}}
    spreads |= {way: search[way]["spreads"] for way in WAYS}
    entries = {f"{name}_spreads": metric(list(one.values()), "1") for name, one in spreads.items()}
    for way in WAYS:
        entries[f"{way}_curve"] = metric(search[way]["curve"], "1")
        entries[f"{way}_tightness"] = metric(search[way]["tightness"], "1")
        entries[f"{way}_value"] = metric(search[way]["value"], "1")
        entries[f"{way}_lost"] = metric(search[way]["lost"], "1")
    entries |= {f"{name}_factor": metric(one["factor"], "1") for name, one in margin.items()}
    for where, counts in check["counts"].items():
        entries[f"{where}_number"] = metric(counts["number"], "1")
        for name, judged in counts.items():
            if name != "number":
                kept = {f"{where}_{name}_{what}": metric(judged[what], "1") for what in WITH_INTERVAL}
                entries |= {key.replace(" ", "_"): entry for key, entry in kept.items()}
    for name, bias in check["smooth"].items():
        entries |= {f"bias_{name}_{what}": metric(x, "1") for what, x in bias.items()}
    for what, x in check["circuit"].items():
        entries[f"circuit_{what}"] = metric(x, "uS" if what in ("rms", "largest") else "1")
    entries |= {f"slopes_{what}": metric(x, "1") for what, x in slopes.items()}
    return entries


def tables(value: dict[str, Any], mechanism: str) -> list[Table]:
    """Of one mechanism, from metrics."""
    of = _of(value, mechanism)
    return [_specifications(of, mechanism), _variants(of, mechanism), _slopes(of, mechanism)]


def _of(value: dict[str, Any], mechanism: str) -> dict[str, Any]:
    start = f"{mechanism}_"
    return {name.removeprefix(start): x for name, x in value.items() if name.startswith(start)}


def _counted(of: dict[str, Any], name: str) -> str:
    """Yield with its interval."""
    return f"{of[f'{name}_yield']:.2%} ({of[f'{name}_low']:.2%} to {of[f'{name}_high']:.2%})"


def _specifications(of: dict[str, Any], mechanism: str) -> Table:
    rows = []
    for name, said in SPECIFICATIONS.items():
        claim = [f"{of[f'{name}_value']:.2f}", f"{of[f'{name}_lost']:.2f}"] if name in WAYS else ["", ""]
        widths = [f"{x:.2%}" for x in of[f"{name}_spreads"]]
        counts = [_counted(of, f"{where}_{name}") for where in ("validation", "test")]
        rows.append([said, *widths, *claim, *counts, f"{of[f'test_{name}_lost']:.2f}"])
    head = ["spreads", *(f"sigma of {x}" for x in SYMBOLS.values()), "value of the search", "its points lost"]
    head += ["yield counted, validation images", "yield counted, test images", "points lost by 99 %, test"]
    return Table(f"{mechanism}: specifications, and chips of fresh keys (95 % interval)", head, rows)


def _variants(of: dict[str, Any], mechanism: str) -> Table:
    said = {
        "share_0": "no part of the chip's",
        "share_0.5": "half of the variance is the chip's",
        "correlation_-0.5": "P_r and E_c correlated by -0.5",
        "correlation_0.5": "P_r and E_c correlated by 0.5",
        "own": "devices nominal, 8.7 uS at each transfer beside",
    }
    rows = [[text, _counted(of, f"test_{name}"), f"{of[f'test_{name}_median']:.2%}"] for name, text in said.items()]
    return Table(
        f"{mechanism}: the specification with the factor for images elsewhere", ["", "yield, test", "median"], rows
    )


def _slopes(of: dict[str, Any], mechanism: str) -> Table:
    rows = []
    for place, label in enumerate(of["slopes_labels"]):
        step = f"{of['slopes_tolerances'][place]:g}"
        effect = f"{of['slopes_effects'][place]:+.4f} +- {of['slopes_half_widths'][place]:.4f}"
        rows.append([SYMBOLS.get(label, label), step, effect, f"{of['slopes_differences'][place]:+.4f}"])
    head = ["", "moved by", "points lost by 99 %: gradient", "differences, the same chips"]
    return Table(f"{mechanism}: slopes of the quantile, 95 % interval over populations", head, rows)


def _tightness(spreads: list[float]) -> float:
    return -sum(math.log(x) for x in spreads)


def sentences(value: dict[str, Any], mechanism: str) -> list[str]:
    """What the counts say, in words."""
    of = _of(value, mechanism)
    best = min(WAYS, key=lambda way: of[f"{way}_value"])
    others = ", ".join(f"{WAYS[way]} {of[f'{way}_value']:.2f}" for way in WAYS)
    won = "The gradient's specification is the widest" if best == "gradient" else f"The best is of {WAYS[best]}"
    cost = len(of["random_curve"])
    said = [f"{mechanism}: {won} at a cost of {cost} evaluations (minus the sum of ln sigma and penalties: {others})."]
    for name, text in (
        ("gradient", "As claimed"),
        ("margin", f"Times {of['margin_factor']:.2f}, for chips,"),
        ("images", f"Times {of['images_factor']:.2f}, for images,"),
    ):
        share = of[f"test_{name}_yield"]
        far = f"misses 99 % by {99 - 100 * share:.2f} points" if share < 0.99 else "keeps 99 %"
        said.append(f"{text} it {far} on the test images: {_counted(of, f'test_{name}')} of the chips.")
    said.append(f"At the published spreads {_counted(of, 'test_published')}.")
    right = [abs(full - surface) for full, surface in of["circuit_right"]]
    said.append(
        f"Solved cell by cell, levels differ from the surfaces by {of['circuit_rms']:.2f} uS (largest "
        f"{of['circuit_largest']:.1f} uS); numbers of right images of {len(right)} such chips differ by "
        f"{max(right)} at most."
    )
    said.append(
        f"At the claim, smooth accuracies put the points lost at the quantile at {of['bias_gradient_smooth']:.2f}, "
        f"counted ones at {of['bias_gradient_counted']:.2f}. Minus the sum of ln sigma is "
        f"{of['gradient_tightness']:.2f} as claimed, {_tightness(of['margin_spreads']):.2f} with the factor for "
        f"chips, {_tightness(of['images_spreads']):.2f} with that for images, which asks more than most of them need."
    )
    return [" ".join(said)]
