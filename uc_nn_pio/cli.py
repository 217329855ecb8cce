"""The command line, ``uc-nn``. Each verb is a thin caller of a function that Python code can call as well.

Exit codes: 0 done, 1 a check failed (validation under its limit, a wrong digit), 2 a mistake of the user's that the
message explains, 3 the virtual board stopped the firmware, 130 interrupted; :mod:`uc_nn_pio.commands` has those of each
verb.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uc_nn_pio import __version__, progress
from uc_nn_pio.commands import epilog
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.escape import terminal

if TYPE_CHECKING:
    from uc_nn_pio.converter import Conversion


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.run is None:
        parser.print_help()
        return 2
    try:
        # of data that go to another program nothing else is to be seen
        with progress.shown(not getattr(args, "json", False) or sys.stdout.isatty()):
            code = args.run(args) or 0
        sys.stdout.flush()
        return code
    except UcNnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # the reader, `head` say, has seen enough; without this Python complains once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(_system_error(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _system_error(error: OSError) -> UcNnError:
    """What the system refused, whichever verb asked for it."""
    return UcNnError(
        error.strerror or str(error),
        where=error.filename,
        why="the system does not allow this file or folder to be read or written",
        next_step="check the path, its permissions and the free space",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uc-nn",
        description="PyTorch networks as fused C kernels inside a PlatformIO build.",
        epilog="exit codes: 0 done, 1 a check failed, 2 a mistake that the message explains, 3 the virtual board "
        "stopped the firmware, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"uc-nn {__version__}")
    parser.set_defaults(run=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")

    new = _verb(verbs, "new", _new, "make a PlatformIO project", "uc-nn new mydigit --example lenet5_camera")
    new.add_argument("folder", type=Path, help="where to make it")
    new.add_argument("--board", default="hifive1_virtual", help="board of the default environment (%(default)s)")
    new.add_argument("--example", default=None, help="copy the model of an example (lenet5_camera)")
    new.add_argument("--spec", type=Path, default=None, help="a model spec of yours to put into the project")
    new.add_argument(
        "--blank",
        metavar="FILE",
        default=None,
        help="a network of yours to make the project around: a .pt2 file of torch.export, a Python file (its one "
        "class or net.py:Net; your code runs), a state_dict or a safetensors file. What it does not say, these say:",
    )
    new.add_argument("--input", action="append", default=[], metavar="[NAME=]SHAPE", help="of an input: 1x28x28")
    new.add_argument("--weights", type=Path, default=None, metavar="FILE", help="of the network in a Python file")
    new.add_argument(
        "--tokens", action="append", default=[], metavar="[NAME=]N", help="an input of whole numbers below N"
    )
    new.add_argument(
        "--calibration",
        type=Path,
        default=None,
        metavar="FILE",
        help="an .npz of samples, for int8; float32 without it",
    )
    new.add_argument(
        "--scale", default=None, metavar="X", help="what the bytes of --calibration are multiplied by: 1/255"
    )
    new.add_argument("--name", default=None, help="the project's name (the folder's)")

    convert = _verb(
        verbs, "convert", _convert, "turn a model spec into C", "uc-nn convert models/lenet5.yaml -o generated"
    )
    _spec_arguments(convert)
    convert.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file there is stale")
    convert.add_argument("--depfile", type=Path, default=None, help="write what it was made of, for make and CMake")
    convert.add_argument("-o", "--output", type=Path, default=Path("."), help="folder for the C files (%(default)s)")

    report = _verb(verbs, "report", _report, "say what a model costs", "uc-nn report models/lenet5.yaml --ablation")
    _spec_arguments(report)
    report.add_argument("--ablation", action="store_true", help="what each of the paper's steps saves")
    report.add_argument(
        "--suggest", action="store_true", help="which layer to make smaller, for the RAM budget or for speed"
    )
    report.add_argument("--json", action="store_true", help="as JSON")
    report.add_argument("--map", action="store_true", help="the memory map alone")
    report.add_argument("--html", type=Path, default=None, metavar="FILE", help="one page with plots, and every board")

    explain = _verb(
        verbs, "explain", _explain, "say all of one layer", "uc-nn explain models/lenet5.yaml conv2 --board hifive1"
    )
    _spec_arguments(explain)
    explain.add_argument("layer", help="its name in the report, in your Python, or its C function")
    explain.add_argument("--json", action="store_true", help="as JSON")

    _verb(verbs, "cmake-dir", _cmake_dir, "print where uc_nn.cmake is, for CMake builds", "uc-nn cmake-dir")

    _verb(verbs, "ops", _ops, "list the operators that can be converted, in which precision", "uc-nn ops")

    guess = _verb(
        verbs,
        "guess",
        _guess,
        "guess a model spec from weights alone, to be filled in",
        "uc-nn guess weights.pt -o models/mynet.yaml",
    )
    guess.add_argument("weights", type=Path, help="a state_dict (torch.save) or a safetensors file")
    guess.add_argument("-o", "--output", type=Path, default=None, help="the spec to write; by default it is printed")

    calibrate = _verb(
        verbs,
        "calibrate",
        _calibrate,
        "find the ranges of int8 on the spec's calibration samples",
        "uc-nn calibrate models/lenet5.yaml -o models/data/ranges.json",
    )
    calibrate.add_argument("spec", type=Path, help="the model spec (YAML)")
    calibrate.add_argument(
        "-o",
        "--output",
        type=Path,
        default=None,
        help="JSON file for the ranges; a spec that goes without the samples names it, calibration: {ranges: FILE}. "
        "By default they are printed, with what int8 costs each layer",
    )

    validate = _verb(
        verbs,
        "validate",
        _validate,
        "run test data through torch and the generated C, for int8 through its integer reference too",
        "uc-nn validate models/lenet5.yaml --on virtual --samples 20",
    )
    validate.add_argument("spec", type=Path, help="the model spec (YAML)")
    validate.add_argument("--on", default="host", help="host (%(default)s), virtual or serial:PORT")
    validate.add_argument("--board", default=None, help="board that the model is laid out for (docs/boards.md)")
    validate.add_argument("--samples", type=int, default=None, help="the first so many; on a board 100 without it")
    validate.add_argument("--fault", action="append", default=[], help="of the virtual board: uart-noise=0.001")
    validate.add_argument(
        "--firmware",
        type=Path,
        default=None,
        metavar="FILE",
        help="write the firmware for --on serial:PORT, and no more",
    )
    validate.add_argument("--json", action="store_true", help="as JSON")

    for name, module, what, example in (
        ("setup", "uc_nn_pio.pio.setup", "put platform uc_nn into a PlatformIO core folder", "uc-nn setup --offline"),
        (
            "update",
            "uc_nn_pio.pio.update",
            "bring a project's copies of this package's files up",
            "uc-nn update --dry-run",
        ),
        ("doctor", "uc_nn_pio.doctor", "what of this machine is there, and what to do about the rest", "uc-nn doctor"),
        ("board", "uc_nn_pio.virtual.cli", "the virtual HiFive1", "uc-nn board run firmware.elf --seconds 2"),
        (
            "monitor",
            "uc_nn_pio.monitor",
            "what a board prints, drawn where the terminal can",
            "uc-nn monitor /dev/ttyUSB1",
        ),
        ("demo", "uc_nn_pio.pio.demo", "ten digits through the virtual camera", "uc-nn demo --timeout 300"),
    ):
        owner = importlib.import_module(module)
        owner.add_arguments(_verb(verbs, name, owner.run, what, example))
    return parser


def _verb(
    verbs: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    what: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=epilog(name, example),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _spec_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="the model spec (YAML)")
    parser.add_argument("--board", default=None, help="board whose RAM is the budget (docs/boards.md)")


def _new(args: argparse.Namespace) -> None:
    from uc_nn_pio.pio.project import render_project

    name = args.name or args.folder.resolve().name
    if args.blank is not None:
        written = _new_blank(args, name)
    else:
        given = {key: getattr(args, key) for key in ("input", "weights", "tokens", "calibration", "scale")}
        for option in (f"--{key}" for key, value in given.items() if value):
            raise UcNnError(f"{option} goes with --blank", where=option, next_step="--blank FILE, or leave it out")
        written = render_project(args.folder, name=name, board=args.board, example=args.example, spec=args.spec)
    for path in written:
        print(terminal(str(path)))


def _new_blank(args: argparse.Namespace, name: str) -> list[Path]:
    from uc_nn_pio.pio.blank import Answers, render_blank

    if args.example is not None or args.spec is not None:
        other = "--example" if args.example is not None else "--spec"
        raise UcNnError(
            f"--blank and {other} were given",
            where="--blank",
            why="each of them says what the project is made from",
            next_step=f"leave one of them out; {other} has a spec, --blank makes one",
        )
    answers = Answers(args.input, args.tokens, args.weights, args.calibration, args.scale)

    def tell(line: str) -> None:
        print(terminal(line), file=sys.stderr)

    return render_blank(args.folder, args.blank, name=name, board=args.board, answers=answers, tell=tell)


def _conversion(args: argparse.Namespace) -> Conversion:
    from uc_nn_pio.boards import load_board
    from uc_nn_pio.converter import convert

    return convert(args.spec, load_board(args.board) if args.board else None)


def _convert(args: argparse.Namespace) -> int:
    from uc_nn_pio.files import write_files

    conversion = _conversion(args)
    if args.check:
        return _stale(args.output, conversion.files)
    files = dict(conversion.files)
    if args.depfile:  # with the others, so that all are written or none; an absolute path stays what it is
        files[str(args.depfile.absolute())] = _depfile(args.output, conversion)
    for path in write_files(args.output, files)[: len(conversion.files)]:
        print(terminal(str(path)))
    return 0


def _depfile(folder: Path, conversion: Conversion) -> str:
    """What the C was made of, as make and CMake read it."""

    def escaped(path: Path) -> str:
        return str(path.absolute()).replace("\\", "/").replace(" ", "\\ ").replace("#", "\\#").replace("$", "$$")

    made = " ".join(escaped(folder / name) for name in sorted(conversion.files))
    return f"{made}: {' '.join(map(escaped, conversion.dependencies))}\n"


def _stale(folder: Path, files: Mapping[str, str]) -> int:
    """1 if a file is not what the converter makes now; nothing is written."""
    stale = []
    for name, text in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes().replace(b"\r\n", b"\n") != text.encode("utf-8"):
            stale.append(path)
    for path in stale:
        print(terminal(f"{path} is {'stale' if path.is_file() else 'missing'}"), file=sys.stderr)
    return int(bool(stale))


def _cmake_dir(args: argparse.Namespace) -> None:
    print((Path(__file__).parent / "cmake").as_posix())


def _ops(args: argparse.Namespace) -> None:
    from uc_nn_pio.operators import operators_text

    print(operators_text(), end="")


def _report(args: argparse.Namespace) -> int:
    from uc_nn_pio.report import ablation, ablation_text, report_text

    if args.suggest:
        return _suggest(args)
    conversion = _conversion(args)
    if args.html:
        from uc_nn_pio.files import write_files
        from uc_nn_pio.report.page import report_page

        write_files(args.html.parent, {args.html.name: report_page(conversion.design)})
        print(terminal(f"wrote {args.html}"))
        return 0
    if args.map:
        from uc_nn_pio.report import map_text

        print(map_text(conversion.design))
        return 0
    if args.json:
        print(json.dumps(ablation(conversion.design) if args.ablation else conversion.report, indent=2))
    else:
        print((ablation_text if args.ablation else report_text)(conversion.design))
    return 0


def _explain(args: argparse.Namespace) -> None:
    from uc_nn_pio.report.explain import explain_data, explain_text

    data = explain_data(_conversion(args).design, args.layer)
    print(json.dumps(data, indent=2) if args.json else explain_text(data))


def _suggest(args: argparse.Namespace) -> int:
    """1 where the network is over its budget."""
    from uc_nn_pio.boards import load_board
    from uc_nn_pio.converter import suggest
    from uc_nn_pio.spec import load_spec

    found = suggest(load_spec(args.spec), load_board(args.board) if args.board else None)
    print(json.dumps(found.as_dict(), indent=2) if args.json else found.text())
    return int(found.over_budget)


def _guess(args: argparse.Namespace) -> None:
    from uc_nn_pio.capture.guess import guessed_spec
    from uc_nn_pio.errors import SpecError
    from uc_nn_pio.files import write_files

    if args.output is None:
        print(guessed_spec(args.weights, args.weights.stem), end="")
        return
    if args.output.exists():
        raise SpecError(f"{args.output} is there already", next_step="name a new file, or delete that one")
    text = guessed_spec(args.weights, args.output.stem, args.output.parent)
    (path,) = write_files(args.output.parent, {args.output.name: text})
    print(terminal(str(path)))


def _calibrate(args: argparse.Namespace) -> None:
    from uc_nn_pio.capture import capture
    from uc_nn_pio.files import write_files
    from uc_nn_pio.lower import lower
    from uc_nn_pio.quantize.from_spec import calibrate_spec, quantize_calibrated
    from uc_nn_pio.report import noise_text, ranges_text
    from uc_nn_pio.spec import load_spec

    spec = load_spec(args.spec)
    lowered = lower(capture(spec).graph)
    found = calibrate_spec(spec, lowered)
    if args.output is not None:
        (path,) = write_files(args.output.parent, {args.output.name: found.file_text(spec.name)})
        print(terminal(str(path)))
    else:
        print(terminal(f"{spec.name}: {found.about}"))
        print(f"{ranges_text(found.ranges)}\n\n{noise_text(quantize_calibrated(spec, lowered, found).noise)}")


def _validation_firmware(args: argparse.Namespace) -> int:
    import tempfile

    from uc_nn_pio.boards import load_board
    from uc_nn_pio.converter import convert
    from uc_nn_pio.files import write_files
    from uc_nn_pio.validation.board import build_firmware

    board = load_board(args.board or "hifive1")
    with tempfile.TemporaryDirectory(prefix="uc_nn_validate_") as folder:
        elf = build_firmware(convert(args.spec, board), board, Path(folder)).read_bytes()
    write_files(args.firmware.parent, {args.firmware.name: elf})
    print(terminal(f"wrote {args.firmware}, for {board.name}: program it, then --on serial:PORT"))
    return 0


def _validate(args: argparse.Namespace) -> int:
    from uc_nn_pio.validation import validate

    if args.firmware:
        return _validation_firmware(args)
    result = validate(args.spec, on=args.on, board=args.board, samples=args.samples, faults=args.fault)
    print(json.dumps(result.as_dict(), indent=2) if args.json else result.text())
    return 0 if result.passed else 1
