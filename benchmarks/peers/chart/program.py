"""Draws the results: `python -m benchmarks.peers.chart.program RESULTS.json FOLDER`.

Writes `chart.png` and `chart.svg`: one panel a workload, one bar a contestant, with the medians of
rows per second of the job and thin lines from the slowest to the fastest round.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

_OURS = "ours"
_COLOURS = {True: "#1a73e8", False: "#9aa0a6"}
_WIDTH_INCHES, _BAR_INCHES, _MARGIN_INCHES = 8.0, 0.3, 0.8
# Without these an SVG differs from itself at the next drawing.
_SVG_SALT, _NO_DATE = "bulkscore", {"Date": None}


def main() -> None:
    """Draws the chart of a results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    figure = draw(json.loads(given.results.read_text()))
    matplotlib.rcParams["svg.hashsalt"] = _SVG_SALT
    figure.savefig(given.folder / "chart.svg", metadata=_NO_DATE)
    figure.savefig(given.folder / "chart.png", dpi=150)


def draw(results: dict[str, Any]) -> Figure:
    """The figure of a results document."""
    speeds: dict[str, dict[str, list[float]]] = {}
    rows: dict[str, int] = {}
    for run in results["runs"]:
        panel = speeds.setdefault(run["workload"], {})
        panel.setdefault(run["contestant"], []).append(run["rows_per_s"])
        rows[run["workload"]] = max(run["rows"], rows.get(run["workload"], 0))
    # A job that scores nothing has no speed.
    panels = {w: {c: v for c, v in of.items() if min(v) > 0} for w, of in speeds.items()}
    heights = [_MARGIN_INCHES + _BAR_INCHES * len(panel) for panel in panels.values()]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (workload, panel) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, panel, results["titles"])
        title = f"{results['titles'][workload]}, {rows[workload]:,} rows"
        axis.set_title(title, loc="left", fontsize=10)
    axes[-1].set_xlabel("rows per second")
    return figure


def _draw_panel(axis: Any, panel: Mapping[str, Sequence[float]], titles: Mapping[str, str]) -> None:
    ordered = sorted(panel.items(), key=lambda item: statistics.median(item[1]))
    medians = [statistics.median(values) for _, values in ordered]
    spread = [
        [median - min(values) for median, (_, values) in zip(medians, ordered, strict=True)],
        [max(values) - median for median, (_, values) in zip(medians, ordered, strict=True)],
    ]
    axis.barh(
        [titles[name] for name, _ in ordered],
        medians,
        xerr=spread,
        color=[_COLOURS[name == _OURS] for name, _ in ordered],
        error_kw={"elinewidth": 0.8, "ecolor": "#202124"},
    )
    for place, (median, (_, values)) in enumerate(zip(medians, ordered, strict=True)):
        end = (max(values), place)
        axis.annotate(f"{median:,.0f}", end, (5, 0), textcoords="offset points", va="center")
    axis.margins(x=0.15)
    axis.locator_params(axis="x", nbins=5)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
