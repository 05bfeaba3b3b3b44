"""Diagram of the last results of `scripts/bench cost`, written to docs/performance.svg.

It runs in a virtual environment that has only matplotlib.
"""

import json
from pathlib import Path
import sys

import matplotlib as mpl
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent
LABELS = {"ours": "this integration", "stock": "stock pattern"}
STYLES = {"ours": "o-", "stock": "s--"}


def main() -> None:
    """Draw the CPU time of a poll by number of hubs and by number of changed hubs."""
    try:
        results = json.loads((ROOT / ".demo" / "cost.json").read_text())
    except FileNotFoundError:
        sys.exit("plot: there are no results yet. Run `scripts/bench cost` without --quick first.")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ochno", "font.size": 9})
    figure, (by_hubs, by_changed) = plt.subplots(
        1, 2, figsize=(9, 3.6), sharey=True, layout="constrained"
    )
    for pattern, label in LABELS.items():
        times = {
            (hubs, changed): seconds * 1000
            for name, hubs, changed, seconds in results
            if name == pattern
        }
        one = {hubs: time for (hubs, changed), time in times.items() if changed == 1}
        many = {changed: time for (hubs, changed), time in times.items() if hubs == 1000}
        for axes, points in ((by_hubs, one), (by_changed, many)):
            axes.loglog(points.keys(), points.values(), STYLES[pattern], label=label)
    by_hubs.set(title="One hub changed", xlabel="hubs", ylabel="CPU time of a poll, ms")
    by_changed.set(title="1,000 hubs", xlabel="changed hubs")
    by_hubs.legend(frameon=False)
    for axes in (by_hubs, by_changed):
        axes.grid(visible=True, which="major", alpha=0.3)
    figure.savefig(ROOT / "docs" / "performance.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
