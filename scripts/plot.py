"""Draw what scripts/bench cost measured last, as docs/performance.svg."""

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent
WORDS = {"ours": "this integration", "stock": "stock pattern"}
STYLES = {"ours": "o-", "stock": "s--"}


def main() -> None:
    results = json.loads((ROOT / ".demo" / "cost.json").read_text())
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ochno", "font.size": 9})
    figure, (by_hubs, by_changes) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for pattern, found in results.items():
        sizes = sorted(map(int, found))
        times = [found[str(hubs)]["changed"]["1"] * 1000 for hubs in sizes]
        by_hubs.loglog(sizes, times, STYLES[pattern], label=WORDS[pattern])
        changes = found["1000"]["changed"]
        counts = sorted(map(int, changes))
        times = [changes[str(count)] * 1000 for count in counts]
        by_changes.loglog(counts, times, STYLES[pattern], label=WORDS[pattern])
    by_hubs.set(title="One hub changed", xlabel="hubs", ylabel="milliseconds of CPU for a poll")
    by_changes.set(title="1,000 hubs", xlabel="hubs that changed")
    by_hubs.legend(frameon=False)
    for axes in (by_hubs, by_changes):
        axes.grid(visible=True, which="major", alpha=0.3)
    figure.savefig(ROOT / "docs" / "performance.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
