"""All benchmarks of speed, one after the other: `make bench`.

    python benchmarks/speed.py [--again] [--quick] [--only NAME ...]

Each is a script of its own and leaves JSON in benchmarks/results/speed/; then the tables and plots
of docs/performance.md are made from these. One that has been measured on the present sources is
not repeated, so a run that was stopped goes on. 20 to 25 minutes on two cores; nothing else should
run beside it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from harness import BENCHMARKS, RESULTS, fingerprint

HERE = Path(__file__).parent


def measured(name: str) -> bool:
    """Whether there is a result that the present sources gave."""
    path = RESULTS / f"{name}.json"
    return path.exists() and json.loads(path.read_text())["sources"] == fingerprint(name)


def main() -> int:
    """Run what is missing; the number of benchmarks that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; nothing is written")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    args = parser.parse_args()
    failed = []
    for name in args.only:
        if not args.again and not args.quick and measured(name):
            print(f"\n## {name}: measured already on these sources", flush=True)
            continue
        print(f"\n## {name}\n", flush=True)
        begin = time.perf_counter()
        command = [sys.executable, str(HERE / f"{name}.py"), *["--quick"] * args.quick]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            failed.append(name)
        print(f"\n{time.perf_counter() - begin:.0f} s", flush=True)
    if not args.quick:
        subprocess.run([sys.executable, str(HERE / "render.py")], check=True)  # noqa: S603
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
