"""The converter's side of a PlatformIO build: ``python -m uc_nn_pio.pio.generate REQUEST.json``.

The extra script writes the request and starts this module in an interpreter that has torch. Every model is converted
before any file is written, and the manifest goes into place last: a build that fails leaves what was there, and one
that was cut short is done again, because files are not what the old manifest says.

Exit codes: 0 done, 2 a mistake that the text on stderr explains.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uc_nn_pio
from uc_nn_pio.boards import Board, Region, board_ids, load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.errors import BoardError, ErrorGroup, SpecError, UcNnError
from uc_nn_pio.escape import terminal
from uc_nn_pio.files import write_files
from uc_nn_pio.pio import extra_script, stack_need
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.resources import resources

_COMPILED = (".c", ".S")


def main(argv: list[str]) -> int:
    """Read the request, convert, write; returns the exit code."""
    request = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    output = Path(request["output"])
    try:
        generate(request)
    except UcNnError as error:
        print(terminal(str(error), keep_newlines=True), file=sys.stderr)
        if extra_script.read_manifest(str(output)) is not None:
            print("note: the C files of the last good conversion are left as they were", file=sys.stderr)
        return error.exit_code
    return 0


def generate(request: Mapping[str, Any]) -> list[Path]:
    """Convert every model of ``request`` and write the files of the build.

    Returns:
        The files that make up the output, manifest included.

    Raises:
        UcNnError: a model, the board or an option is wrong; nothing was written.
    """
    if request["request"] != extra_script.MANIFEST_VERSION:
        raise UcNnError(
            "uc_nn.py of this project belongs to another version of uc_nn_pio",
            next_step=f"uc-nn update, or copy {Path(extra_script.__file__)} over it",
        )
    project, output, begun = Path(request["project"]), Path(request["output"]), time.time()
    board = find_board(request["board"])
    conversions = _convert_all([project / model for model in request["models"]], board)
    board_files = _board_files(request, board)
    files = dict(board_files)
    for conversion in conversions:
        files.update({f"{conversion.name}/{name}": text for name, text in conversion.files.items()})
        if request["samples"]:
            from uc_nn_pio.validation.vectors import samples_header

            files[f"{conversion.name}/{conversion.name}_samples.h"] = samples_header(conversion, request["samples"])
        files[f"{conversion.name}/report.json"] = json.dumps(conversion.report, indent=1) + "\n"
    for conversion in conversions:
        print(terminal(f"uc_nn: {conversion.line(request['core_hz'], request['flash'])}"))
    previous = extra_script.read_manifest(str(output)) or {"outputs": {}}
    dependencies = [path for conversion in conversions for path in conversion.dependencies]
    if request["samples"]:
        dependencies += [conversion.design.spec.validate.file.resolve() for conversion in conversions]
    manifest = {
        "manifest": extra_script.MANIFEST_VERSION,
        "wanted": {key: request[key] for key in ("board", "models", "core_hz", "flash", "samples")},
        "inputs": {
            extra_script.portable(str(path), str(project)): _digest_of_input(path, begun)
            for path in sorted(dependencies)
        },
        # of the texts, not of the files: what somebody else may write there meanwhile is an edit
        "outputs": {name: extra_script.data_digest(text.encode("utf-8")) for name, text in sorted(files.items())},
        **_maker(request["shared"]),
        "sources": sorted(name for name in files if name.endswith(_COMPILED)),
        "flags": {
            f"{conversion.name}/{conversion.name}.c": list(conversion.compile_flags) for conversion in conversions
        },
        "include": [conversion.name for conversion in conversions],
        "linker_script": "link.ld" if "link.ld" in board_files else None,
    }
    files["manifest.json"] = json.dumps(manifest, indent=1) + "\n"
    return write_files(output, files, remove=_unwanted(output, previous["outputs"], files))


def _digest_of_input(path: Path, begun: float) -> str:
    """Of a file that was read since ``begun``. Empty, which no file's is, where it changed meanwhile: nobody knows
    which text of it was read, and the next build converts again."""
    digest = extra_script.file_digest(path)
    changed = digest is None or begun <= path.stat().st_mtime <= time.time()
    return "" if changed else digest


def _maker(shared: bool) -> dict[str, Any]:
    """Who made the files. Of shared ones the version alone: others have it elsewhere, or not at all."""
    if shared:
        return {"converter": {"version": uc_nn_pio.__version__}}
    return {"converter": converter(), "python": sys.executable}


def converter() -> dict[str, Any]:
    """Which converter this is: where its files lie, and one sum over them."""
    roots = [Path(uc_nn_pio.__file__).parent, resources("boards"), resources("firmware_template") / "board"]
    roots = [str(root) for root in roots]
    return {"roots": roots, "digest": extra_script.converter_digest(roots)}


def find_board(facts: Mapping[str, Any] | None) -> Board | None:
    """The board of a build: from its manifest's own data, from ours by name, or what PlatformIO knows of any board.

    ``None`` for a platform without boards (``native``).
    """
    if facts is None:
        return None
    manifest = facts["manifest"]
    if "uc_nn" in manifest:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{facts['id']}.json"
            path.write_text(json.dumps(manifest), encoding="utf-8")
            return load_board(facts["id"], manifest=path)
    if facts["id"] in board_ids():
        return load_board(facts["id"])
    upload, build = manifest.get("upload", {}), manifest.get("build", {})
    print(
        f"uc_nn: board {facts['id']} has no data of uc_nn_pio: RAM and flash are PlatformIO's, costs are not known "
        "(docs/boards.md)"
    )
    return Board(
        id=facts["id"],
        name=manifest["name"],
        chip=build.get("mcu", ""),
        cpu=build.get("cpu", ""),
        march=build.get("march", ""),
        mabi=build.get("mabi", ""),
        mcmodel=build.get("mcmodel", ""),
        regions={
            "ram": Region("ram", 0, int(upload.get("maximum_ram_size", 0)), "unknown"),
            "flash": Region("flash", 0, int(upload.get("maximum_size", 0)), "unknown"),
        },
        details={},
    )


def _board_files(request: Mapping[str, Any], board: Board | None) -> dict[str, str]:
    core_hz, flash = request["core_hz"], request["flash"]
    if board is None or not board.details:
        for name, given, unknown in (
            ("core_hz", core_hz is not None, "clocks are"),
            ("flash", flash != "reset", "flash interface is"),
        ):
            if given:
                raise BoardError(
                    f"custom_uc_nn_{name} is set, but this board's {unknown} not known",
                    where="platformio.ini",
                    next_step="remove the option, or use a board with data of uc_nn_pio (docs/boards.md)",
                )
        return {}
    files = render_board_files(board, core_hz=core_hz, flash=flash)
    if board.arch == "riscv":  # whose machine code the script reads
        files[extra_script.STACK_SCRIPT] = Path(stack_need.__file__).read_text(encoding="utf-8")
    return files


def _convert_all(specs: list[Path], board: Board | None) -> list[Conversion]:
    """Convert every spec; all that is wrong is said at once."""
    conversions: list[Conversion] = []
    errors: list[UcNnError] = []
    for spec in specs:
        try:
            conversions.append(convert(spec, board))
        except UcNnError as error:
            errors.append(error)
    by_name: dict[str, Path] = {}
    for conversion, spec in zip(conversions, specs, strict=False) if not errors else ():
        # Header guards are in capitals, and some file systems do not tell capitals apart.
        first = by_name.setdefault(conversion.name.casefold(), spec)
        if first is not spec:
            errors.append(
                SpecError(
                    f"two models are named {conversion.name!r}",
                    where=str(spec),
                    why=f"{first} has the name already, and it prefixes every function and file",
                    next_step="change `name:` in one of them",
                )
            )
    if errors:
        raise errors[0] if len(errors) == 1 else ErrorGroup(errors)
    return conversions


def _unwanted(output: Path, previous: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """Files of models that are no longer named. One that was edited since is not ours any more, and stays."""
    return [
        name
        for name, digest in previous.items()
        if name not in files and extra_script.file_digest(output / name) == digest
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
