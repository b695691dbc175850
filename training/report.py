"""The report: one self-contained HTML file and its figures as PNG."""

import base64
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.job import Configuration, Job, Results
from training.run_directory import versions, write_bytes


def write_report(path: Path, job: Job, config: Configuration, results: Results, command: str) -> None:
    """Write the figures as PNG and report.html into the run's directory."""
    images = {}
    for name, (figure, _) in results.figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
        write_bytes(path / f"{name}.png", buffer.getvalue())
        images[name] = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": _percent, "count": _count, "number": _number}
    html = environment.get_template(job.template).render(
        **results.context,
        results=results,
        value={name: metric["value"] for name, metric in results.metrics.items()},
        images=images,
        command=command,
        settings=config.settings(),
        versions=versions(),
        unfinished=f"{job.steps} of {job.total} {job.unit}" if job.steps < job.total else "",
    )
    write_bytes(path / "report.html", html.encode())


def _percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f} %"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _number(value: Any, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"
