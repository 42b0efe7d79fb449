"""Keeps measured tables of the docs in one file, and writes them into the pages.

    python tools/docs_numbers.py record demo RUN_DIR   # takes a run's summary.csv into numbers.json
    python tools/docs_numbers.py                       # writes all marked tables
    python tools/docs_numbers.py --check               # exit code 1 where a page differs

A page marks a table's place with `<!-- numbers: NAME -->` and `<!-- end of numbers -->`.
"""

import csv
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "numbers.json"
PAGES = ("README.md", "docs/index.md", "docs/phantom.md", "docs/recipes/compression.md")
_PLACE = re.compile(r"(<!-- numbers: (\w+) -->\n).*?(\n?<!-- end of numbers -->)", re.DOTALL)
_METRICS = ("auroc", "auprc")


def record(name: str, run_dir: Path) -> dict:
    """Returns numbers.json's content with the single experiment of a run folder as `name`."""
    config = json.loads((run_dir / "config.json").read_text("utf-8"))
    environment = config["environment"]
    with (run_dir / "summary.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["experiment"] == "single"]
    keys = [f"{metric}{end}" for metric in _METRICS for end in ("", "_low", "_high")]
    known = json.loads(NUMBERS.read_text("utf-8")) if NUMBERS.exists() else {}
    known[name] = {
        "revision": environment["git_revision"],
        "openjpeg": environment["openjpeg"],
        "rows": [{"cr": row["test_cr"]} | {key: float(row[key]) for key in keys} for row in rows],
    }
    return known


def table(entry: dict) -> str:
    """Returns a measured table in Markdown."""
    lines = ["| CR | AUROC (95 % CI) | AUPRC (95 % CI) |", "|---|---|---|"]
    for row in entry["rows"]:
        cells = (f"{row[m]:.2f} ({row[m + '_low']:.2f}, {row[m + '_high']:.2f})" for m in _METRICS)
        lines.append(f"| {int(float(row['cr'])):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def rewrite(text: str, numbers: dict) -> str:
    """Returns a page with its marked tables as numbers.json has them; KeyError for an unknown."""
    return _PLACE.sub(
        lambda found: found[1] + table(numbers[found[2]]) + "\n" + found[3].lstrip("\n"), text
    )


def main(words: list[str]) -> int:
    if words[:1] == ["record"]:
        content = record(words[1], Path(words[2]))
        NUMBERS.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    numbers = json.loads(NUMBERS.read_text("utf-8"))
    changed = []
    for name in PAGES:
        path = ROOT / name
        text = path.read_text("utf-8")
        if (new := rewrite(text, numbers)) != text:
            changed.append(name)
            if "--check" not in words:
                path.write_text(new, "utf-8")
    if changed:
        print("Differs from docs/numbers.json:" if "--check" in words else "Written:", *changed)
    return int(bool(changed) and "--check" in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
