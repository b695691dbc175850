"""The results of the study `schedule`, and its committed page."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.codesign.stage import Found
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT, GREY
from training.publish import footer, markdown, only

FIGURES = ("codesign_schedule",)
KINDS = {"learned": "learned", "random": "random search", "grid": "grid"}
COLOURS = {"learned": CHIP, "random": FLOAT, "grid": GREY}
MARKS = {"learned": "*", "random": "s", "grid": "^"}
CAPTION = (
    "Left: test accuracy against the energy of the training, of constant periods (line) and of schedules that were "
    "learned or searched for. Right: the learned periods over the training; dotted, the constant period of the same "
    "number of transfers."
)


def results_of(dataset: str, found: dict[str, Found], shares: tuple[float, ...], weights: tuple[float, ...]) -> Results:
    """Metrics, figure and tables of the stages that are done."""
    metrics = {
        "shares": metric(list(shares), "1"),
        "weights": metric(list(weights), "1"),
        "dataset": metric(dataset, ""),
    }
    for name, of in found.items():
        metrics |= {f"{name}_{entry}": {"value": value, "unit": "mixed"} for entry, value in of.items()}
    value = {name: entry["value"] for name, entry in metrics.items()}
    tables = tables_of(value)
    done = "check_rows" in value
    return Results(
        title=f"When to transfer: learned on {dataset}",
        metrics=metrics,
        highlights=[
            (f"{100 * row['gain_test'][0]:+.1f} points", f"learned, {row['expected_transfers']:.0f} transfers")
            for row in value.get("check_rows", [])
            if row["kind"] == "learned"
        ],
        figures={FIGURES[0]: (_figure(value), CAPTION)} if done else {},
        tables=tables,
        notes=[verdict(value)] if done else [],
        summary=[verdict(value)] if done else [],
    )


def tables_of(value: dict[str, Any]) -> list[Table]:
    """Every table of what is done by now, from metrics."""
    makers = (
        ("check_rows", schedules_table),
        ("check_rows", constants_table),
        ("estimators_rows", estimators_table),
        ("ways_rows", ways_table),
    )
    return [make(value) for name, make in makers if name in value]


def _percent(pair: list[float]) -> str:
    return f"{100 * pair[0]:.1f} ± {100 * pair[1]:.1f}"


def schedules_table(value: dict[str, Any]) -> Table:
    """Each schedule that was found, beside the constant period of the same number of transfers."""
    rows, all_rows = [], value["check_rows"]
    for place, row in enumerate(all_rows):
        said = [f"{row['weight']:g}"] if row["weight"] is not None else [""]
        if row["kind"] == "best constant":
            rows.append([*said, "best constant", *_numbers(row), "", ""])
        if row["kind"] in KINDS:
            equal = all_rows[place + 1]
            rows.append([*said, KINDS[row["kind"]], *_numbers(row), _percent(equal["test"]), _gain(row["gain_test"])])
    places = ", ".join(f"{100 * share:g} %" for share in value["shares"])
    head = ["w", "schedule", f"k at {places} of the training", "transfers", "energy, mJ", "loss + w energy"]
    head += ["validation, %", "test, %", "constant k of as many transfers, test, %", "gain, points"]
    return Table(f"Fresh draws: mean and standard error of {value['check_runs']} runs", head, rows)


def _numbers(row: dict[str, Any]) -> list[str]:
    periods = " / ".join(f"{k:.0f}" for k in row["periods"])
    energy = f"{row['energy_nJ'] / 1e6:.3f}"
    accuracies = [_percent(row["validation"]), _percent(row["test"])]
    return [periods, f"{row['expected_transfers']:.1f}", energy, f"{row['value']:.3f}", *accuracies]


def _gain(pair: list[float]) -> str:
    return f"{100 * pair[0]:+.1f} ± {100 * pair[1]:.1f}"


def constants_table(value: dict[str, Any]) -> Table:
    """Constant periods; wear."""
    rows = [
        [f"{row['periods'][0]:.0f}" if len(row["periods"]) == 1 else f"learned, w {row['weight']:g}"]
        + [f"{row['expected_transfers']:.1f}", f"{row['energy_nJ'] / 1e6:.3f}", f"{row['wear']['memristor']:,.0f}"]
        + [f"{row['wear']['fecap']:,.0f}", _percent(row["validation"]), _percent(row["test"])]
        for row in value["check_rows"]
        if row["kind"] in ("constant", "learned")
    ]
    head = ["k", "transfers", "energy, mJ", "trainings that the worst memristor survives", "the worst FeCAP"]
    return Table("Constant periods and learned schedules", [*head, "validation, %", "test, %"], rows)


def estimators_table(value: dict[str, Any]) -> Table:
    """Bias and spread of the estimators of the slope."""
    rows = []
    for row in value["estimators_rows"]:
        truth = f"{row['brute_force'][0]:+.3f} ± {row['brute_force'][1]:.3f}"
        bias = f"{row['bias'][0]:+.3f} ± {row['bias'][1]:.3f}"
        spread, price = f"{row['spread']:.3g}", f"{row['price']:.1f}"
        rows.append([row["parameter"], row["estimator"], truth, f"{row['mean']:+.3f}", bias, spread, price])
    caption = (
        "Slope of the validation loss in the logarithm of the parameter, in the phase itself, after "
        f"{value['estimators_samples']} samples; "
        f"{value['estimators_runs']} runs"
    )
    head = ["parameter", "estimator", "brute force", "mean", "bias", "standard deviation of a run"]
    return Table(caption, [*head, "price, exact trainings"], rows)


def estimators_verdict(value: dict[str, Any]) -> str:
    """Which biases are resolved, and which estimator gives the least error of the mean at one price."""
    rows = value["estimators_rows"]
    biased = [row for row in rows if abs(row["bias"][0]) > 3 * row["bias"][1]]
    names = "; ".join(f"{row['parameter']}, {row['estimator']}" for row in biased)
    largest = max(rows, key=lambda row: abs(row["bias"][0]) / row["bias"][1])
    most = f"{abs(largest['bias'][0]) / largest['bias'][1]:.1f}"
    where = f"{largest['parameter']}, {largest['estimator']}"
    none = f"No bias is beyond three standard errors; the largest is {most} ({where})."
    said = [f"Beyond three standard errors is the bias of {names}." if biased else none]
    for parameter in dict.fromkeys(row["parameter"] for row in rows):
        own = [row for row in rows if row["parameter"] == parameter]
        least = min(own, key=lambda row: row["spread"] * np.sqrt(row["price"]))
        said.append(f"{parameter.capitalize()}: the least error at one price is that of {least['estimator']}.")
    return " ".join(said)


def ways_table(value: dict[str, Any]) -> Table:
    """Memory and time of the ways through a whole training."""
    rows = [
        [row["way"], f"{row['megabytes']:.1f}"]
        + ["" if row["seconds"] is None else f"{row['seconds'] / value['ways_evaluation_s']:.0f}"]
        + ["" if row["slope"] is None else f"{row['loss']:.4f}", "" if row["slope"] is None else f"{row['slope']:.3g}"]
        for row in value["ways_rows"]
    ]
    caption = (
        f"One run of {value['ways_samples']:,} online steps, chunks of {value['ways_chunk']}; an exact training takes "
        f"{1000 * value['ways_evaluation_s']:.0f} ms and ends in a loss of {value['ways_loss']:.4f}"
    )
    return Table(
        caption,
        ["gradient", "memory, MiB", "time, exact trainings", "loss of its run", "slope in ln k of all knots"],
        rows,
    )


def verdict(value: dict[str, Any]) -> str:
    """What the check says, in words: first by what was lowered, then at as many transfers."""
    rows = value["check_rows"]
    learned = [row for row in rows if row["kind"] == "learned"]
    least = [row for row in learned if all(row["value"] < other["value"] for other in _others(rows, row))]
    said = [
        f"By what it lowers, the learned schedule is the best of the four at {len(least)} of {len(learned)} weights."
    ]
    for row in learned:
        others = ", ".join(f"{KINDS.get(o['kind'], o['kind'])} {o['value']:.3f}" for o in _others(rows, row))
        said.append(
            f"At w = {row['weight']:g}: {row['value']:.3f}, {others}; test accuracy {_gain(row['gain_test'])} points "
            "against a constant period of as many transfers."
        )
    return " ".join(said)


def _others(rows: list[dict[str, Any]], learned: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = ("best constant", "random", "grid")
    return [row for row in rows if row["weight"] == learned["weight"] and row["kind"] in kinds]


def _figure(value: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = value["check_rows"]
    curve = sorted((r["energy_nJ"] / 1e6, *r["test"]) for r in rows if r["kind"] == "constant")
    energy, mean, error = 1.0 * np.array(curve).T
    left.errorbar(energy, 100 * mean, 100 * error, fmt="o-", ms=4, capsize=2, color="black", label="constant k")
    for kind, label in KINDS.items():
        found = [(r["energy_nJ"] / 1e6, *r["test"]) for r in rows if r["kind"] == kind]
        energy, mean, error = np.array(found).T
        style = {"fmt": MARKS[kind], "ms": 10 if kind == "learned" else 5, "color": COLOURS[kind], "label": label}
        left.errorbar(energy, 100 * mean, 100 * error, capsize=2, **style)
    left.set(xscale="log", xlabel="energy of the training [mJ]", ylabel="test accuracy [%]")
    left.legend(fontsize=8)
    for place, row in enumerate(rows):
        if row["kind"] != "learned":
            continue
        (line,) = right.plot(
            100 * np.array(value["shares"]), row["periods"], "o-", ms=4, label=f"w = {row['weight']:g}"
        )
        right.axhline(rows[place + 1]["periods"][0], color=line.get_color(), ls=":", lw=1)
    right.set(yscale="log", xlabel="progress of the training [%]", ylabel="period k [samples]")
    right.legend(fontsize=8)
    return figure


def _range(counts: list[float]) -> str:
    """Least and greatest, or the one number that all are."""
    least, most = min(counts), max(counts)
    return f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"


def page(results: list[dict]) -> str:
    """The page of one run."""
    result = only(results)
    value = {name: entry["value"] for name, entry in result["metrics"].items()}
    schedules, constants, estimators, ways = tables_of(value)
    trainings = [value[f"learned_{w:g}_trainings"] for w in value["weights"]]
    lines = [
        "# When to transfer: a learned schedule",
        "",
        f"A network of 32 hidden features learns {value['dataset']} online, {value['ways_samples']:,} samples, on the "
        "hybrid chip with measured transfers. Its transfers follow a clock of the period k(t), whose logarithm is "
        "linear between knots. The knots lower loss of the validation part plus w times energy, in units of the energy "
        "at k = 100; energy is from physics ([energy](../models/energy.md)).",
        "",
        "The gradient is taken from runs in pairs at drawn knots, ln k moved up in one run and down in the other, with "
        "the same other draws: the clock stays as it is, and no gate is relaxed. It costs one training a run and is "
        f"counted so. A schedule took {_range(trainings)} trainings; random search ({value['random_designs']} "
        f"schedules, {value['random_runs']} runs of each) and grid ({value['grid_designs']}, {value['grid_runs']}) had "
        "as many in all, and served all three w.",
        "",
        verdict(value),
        "",
        "![When to transfer](../figures/codesign_schedule.png)",
        "",
        "Every row below is judged anew by fresh draws, with an even phase of the clock in each run. An earlier "
        "version, which learned by the score function of drawn gates, was judged on the same test samples; this one "
        "was chosen on the validation part and is their second look. Periods that shorten at the end gain at as many "
        "transfers, however they were found.",
        "",
        *markdown(schedules),
        "",
        "Constant periods and the learned schedules, with wear (the worst cell by the article's rule):",
        "",
        *markdown(constants),
        "",
        "## Estimators of the gradient",
        "",
        f"{estimators.caption}. Brute force: central differences of exact trainings with common draws. Widths of gates "
        "are in periods, of a perturbation in the logarithm. Score function and perturbation have no way back through "
        "the training; a perturbation's run is one of a pair.",
        "",
        *markdown(estimators),
        "",
        estimators_verdict(value),
        "",
        "## Ways through a whole training",
        "",
        f"{ways.caption}. Straight-through gates of width 0.1; reverse mode gives the slopes in the knots, the "
        "learning rate and the spread of the memristors at once. Reverse and forward mode agree to 1e-8 over short "
        "trainings in double precision (tests), and through a whole one as long as their runs are the same. Where the "
        "loss differs they are not: single precision rounds differently in two programs, a word is rounded the other "
        "way, and the rest is another training with a slope of its own. So the slope of one run says little of the "
        "mean over runs; the estimators above are judged by means.",
        "",
        *markdown(ways),
        "",
        *footer(results),
    ]
    return "\n".join(lines)
