"""Run every measurement and write docs/benchmarks.md: ``make bench``, or with names, only those."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import authentication, burst, chaos, cluster, history

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
MEASUREMENTS = {
    "history": history.measure,
    "authentication": authentication.measure,
    "burst": burst.measure,
    "cluster": cluster.measure,
    "chaos": chaos.measure,
}


def main(names: list[str]) -> None:
    """Measure what is named, all if nothing is; only a whole run replaces the report."""
    unknown = set(names) - MEASUREMENTS.keys()
    if unknown:
        raise SystemExit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    sections = []
    for name in names or MEASUREMENTS:
        print(f"measuring {name} …", flush=True)
        sections.append(MEASUREMENTS[name]())
        print(sections[-1], flush=True)
    if not names:
        REPORT.write_text("\n".join([_head(), *sections]))
        print(f"written: {REPORT.relative_to(Path.cwd())}")


def _head() -> str:
    parts = [f"{name} {version(name)}" for name in ("uvicorn", "starlette", "msgspec", "uvloop", "psycopg", "nats-py")]
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{len(os.sched_getaffinity(0))} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"
    return f"""# Benchmarks

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. Machines are noisy: contestants alternate within one run,
figures are medians with their spread, and ratios say more than absolutes.

{machine}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {", ".join(parts)}.
"""


if __name__ == "__main__":
    main(sys.argv[1:])
