"""``python -m uc_nn_pio.bench``: measure, print, write the files that show the figures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from uc_nn_pio.bench import KEYS, bench, peers
from uc_nn_pio.bench.networks import NETWORKS
from uc_nn_pio.bench.plot import plot
from uc_nn_pio.bench.record import record, recorded, worse
from uc_nn_pio.bench.table1 import table1
from uc_nn_pio.bench.tables import readme_block, text, with_block
from uc_nn_pio.errors import UcNnError

EPILOG = """\
--readme, --plot and --table1 measure nothing anew: the first two show what is on record.

  python3 dev.py bench                                     measure and print all rows
  python3 dev.py bench --only lenet5-int8 --json           one row as JSON
  python3 dev.py bench --record "why"                      measure, and put the figures on record
  python3 dev.py bench --readme README.md --plot docs/benchmark.svg --table1 docs/table1.md

exit code: 0 done; 1 a count is more than 2 % above the record, or a tool failed; 2 wrong arguments or files"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="python3 dev.py bench",
        description="Measure the example networks on the virtual HiFive1.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("--only", nargs="+", choices=KEYS, metavar="ROW", default=KEYS, help=f"of {', '.join(KEYS)}")
    out.add_argument("--json", action="store_true", help="as JSON")
    out.add_argument(
        "--test", nargs="+", metavar="NETWORK=FILE", default=[], help="test data, .npz, in place of the example's own"
    )
    out.add_argument("--record", metavar="REASON", help="put the figures on record, and say why they changed")
    out.add_argument("--readme", type=Path, metavar="FILE", help="write the recorded figures between its markers")
    out.add_argument("--plot", type=Path, metavar="FILE", help="draw the recorded figures as SVG")
    out.add_argument("--table1", type=Path, metavar="FILE", help="write the paper's table 1 beside ours")
    return out


def test_files(given: list[str]) -> dict[str, Path]:
    """Raises ValueError: an entry is not NETWORK=FILE."""
    files = {}
    for entry in given:
        network, _, file = entry.partition("=")
        if network not in NETWORKS or not file:
            raise ValueError(f"--test {entry}: give NETWORK=FILE, NETWORK one of {', '.join(NETWORKS)}")
        files[network] = Path(file)
    return files


def write_shown(args: argparse.Namespace) -> None:
    """The files that show figures."""
    if args.readme:
        block = readme_block(recorded()["rows"], peers())
        args.readme.write_text(with_block(args.readme.read_text(encoding="utf-8"), block), encoding="utf-8")
    if args.plot:
        args.plot.write_text(plot(recorded()["rows"], peers()), encoding="utf-8")
    if args.table1:
        args.table1.write_text(table1(), encoding="utf-8")


def measured(args: argparse.Namespace) -> int:
    """Measure, print, compare with the record or write it."""
    rows = bench(args.only, test_files(args.test))
    print(json.dumps({"rows": rows, "peers": peers()}, indent=2) if args.json else text(rows, peers()))
    if args.record is not None:
        record(rows, args.record)
        return 0
    before = recorded()["rows"]
    found = [f"{key}: {what}" for key, row in rows.items() if key in before for what in worse(row, before[key])]
    for line in found:
        print(f"worse than the record: {line}", file=sys.stderr)
    return 1 if found else 0


def main() -> int:
    """The exit code."""
    args = parser().parse_args()
    showing = args.readme or args.plot or args.table1
    try:
        if args.record is not None and not args.record.strip():
            raise ValueError("--record needs a reason")
        code = 0 if showing and args.record is None else measured(args)
        write_shown(args)
        return code
    except UcNnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
