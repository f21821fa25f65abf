"""AP on the test split against training time: from ImageNet weights and from scratch.

Run:     python benchmarks/weights_curve.py --data PATH --minutes 2 5 15 60 [--out FOLDER]
Prints:  a Markdown table: for each start and number of minutes, AP and AP50 of a training by
         ``tools/train.py CONFIG --minutes N`` with its test, and the minutes that the command took.
         FOLDER has the runs, ``curve.json`` and ``curve.png``; a run that curve.json already has
         is not repeated. The trainings run one after another on the cores that this process may
         use, and as many threads: with ``taskset -c 0`` a minute is a core-minute.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The small cascades for each start.
STARTS = {
    "ImageNet weights": "cascade_efficientnet_lite0.py",
    "from scratch": "cascade_efficientnet_nano.py",
}
SCORES = re.compile(r"^test +AP (\d\.\d+), AP50 (\d\.\d+)", re.MULTILINE)


def train(config: str, data: str, minutes: float, seed: int, folder: Path) -> dict[str, Any]:
    """Train with its test; the scores and the time."""
    start = time.monotonic()
    env = {**os.environ, "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))}
    subprocess.run([sys.executable, str(ROOT / "tools" / "train.py"),
                    str(ROOT / "configs" / config), "--data", data, "--minutes", f"{minutes:g}",
                    "--seed", str(seed), "--work-dir", str(folder)],
                   env=env, check=True, stdout=subprocess.DEVNULL)
    took = (time.monotonic() - start) / 60
    match = SCORES.search((folder / "summary.txt").read_text(encoding="utf-8"))
    if match is None:
        raise SystemExit(f"{folder / 'summary.txt'} has no scores of the test split")
    return {"config": config, "minutes": minutes, "seed": seed, "took": round(took, 2),
            "AP": float(match[1]), "AP50": float(match[2])}


def plot(rows: list[dict[str, Any]], data: str, path: Path) -> None:
    """Plot AP against minutes, one line a start, a dot a run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for label, config in STARTS.items():
        runs = sorted((row["minutes"], row["AP"]) for row in rows if row["config"] == config)
        times = sorted({minutes for minutes, _ in runs})
        means = [sum(ap for at, ap in runs if at == minutes) /
                 sum(at == minutes for at, _ in runs) for minutes in times]
        line, = axes.plot(times, means, label=f"{label}: {config.removesuffix('.py')}")
        axes.plot([minutes for minutes, _ in runs], [ap for _, ap in runs], "o",
                  color=line.get_color())
    axes.set_xscale("log")
    ticks = sorted({row["minutes"] for row in rows})
    axes.set_xticks(ticks, [f"{minutes:g}" for minutes in ticks])
    axes.minorticks_off()
    axes.set_xlabel("minutes of the whole command")
    axes.set_ylabel("AP, test split")
    axes.set_ylim(bottom=0)
    axes.set_title(data)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path)


def main() -> None:
    """Train, print the table, and plot."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="PATH", help="folder of a dataset")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 5, 15, 60])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("work_dirs/weights_curve"))
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    table = args.out / "curve.json"
    rows = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else []
    for minutes in args.minutes:
        for config in STARTS.values():
            for seed in args.seeds:
                run = (config, minutes, seed)
                if run in {(row["config"], row["minutes"], row["seed"]) for row in rows}:
                    continue
                name = f"{config.removesuffix('.py')}_{minutes:g}_{seed}"
                rows.append(train(config, args.data, minutes, seed, args.out / name))
                table.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print("| config | minutes | seed | AP | AP50 | took |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['config'].removesuffix('.py')} | {row['minutes']:g} | {row['seed']} | "
              f"{row['AP']:.3f} | {row['AP50']:.3f} | {row['took']:.1f} |")
    plot(rows, Path(args.data).name, args.out / "curve.png")


if __name__ == "__main__":
    main()
