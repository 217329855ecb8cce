"""The model on a board: its validation firmware built, run on the virtual one or met at a serial port, and fed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jinja2
import numpy as np

from uc_nn_pio.bench.toolchain import compile_model, link
from uc_nn_pio.boards import Board
from uc_nn_pio.converter import Conversion
from uc_nn_pio.errors import BoardError, ToolError, UnsupportedError
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.resources import resources
from uc_nn_pio.validation.link import Hello, outputs_on, serial_link

START_S = 30.0
HASH_BYTES = 8


def hash_of(conversion: Conversion) -> bytes:
    """What the firmware says of its network: the first bytes of the graph's sha256."""
    return bytes.fromhex(conversion.report["graph_sha256"])[:HASH_BYTES]


def build_firmware(conversion: Conversion, board: Board, folder: Path) -> Path:
    """``validate.elf`` in ``folder``.

    Raises:
        BoardError: the drivers are not for this board's chip.
        UnsupportedError: several inputs or outputs.
        ToolError: no cross compiler.
    """
    if not board.chip.startswith("fe310"):
        raise BoardError(
            f"the validation firmware is not for {board.name}",
            why="its drivers are for the FE310",
            next_step="custom_uc_nn_samples runs test samples on any board (docs/boards.md)",
        )
    design = conversion.design
    if len(design.graph.inputs) > 1 or len(design.graph.outputs) > 1:
        raise UnsupportedError(
            "a model with several inputs or outputs is not validated on a board",
            where=conversion.name,
            next_step="uc-nn validate --on host",
        )
    template = (resources("firmware_template") / "validate" / "main.c.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    main = environment.from_string(template).render(
        model=conversion.name,
        MODEL=conversion.name.upper(),
        element="float" if design.precision == "float32" else "int8_t",
        hash=", ".join(f"0x{byte:02X}" for byte in hash_of(conversion)),
    )
    for name, text in {**conversion.files, **render_board_files(board), "main.c": main}.items():
        (folder / name).write_text(text, encoding="utf-8")
    compile_model(folder, conversion, board)
    link(folder, board, ["main.c", "model.o"], "validate")
    return folder / "validate.elf"


@contextmanager
def virtual_board(elf: Path, board: Board, faults: Sequence[str] = ()) -> Iterator[str]:
    """Runs a firmware in a process of its own; gives the address of its UART, and leaves nothing running.

    Raises:
        ToolError: it did not start.
    """
    port_file = elf.with_suffix(".port")
    command = [sys.executable, "-m", "uc_nn_pio.virtual", "run", str(elf), "--board", board.id, "--uart", "tcp:0"]
    command += ["--port-file", str(port_file), "--no-camera", "--speed", "max", "--idle-exit", "60"]
    command += ["--stall-limit", "off", *(part for fault in faults for part in ("--fault", fault))]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + START_S
            while not (port_file.is_file() and port_file.read_text().strip()):
                if process.poll() is not None or time.monotonic() > deadline:
                    why = f"it opened no port in {START_S:.0f} s"
                    if process.poll() is not None and process.stderr:
                        why = process.stderr.read()[-500:]
                    raise ToolError("the virtual board did not start", why=why, next_step="uc-nn doctor")
                time.sleep(0.05)
            yield f"socket://127.0.0.1:{port_file.read_text().strip()}"
        finally:
            process.terminate()


def outputs_of(
    conversion: Conversion, board: Board, on: str, inputs: np.ndarray, faults: Sequence[str] = ()
) -> tuple[np.ndarray, list[int], Hello, int]:
    """Outputs (N, ...) in torch's order of inputs (N, ...) of the model's own element type; cycles of each; what the
    board says of itself; and how many frames were asked again.

    ``on`` is ``virtual`` or ``serial:PORT``.
    """
    graph = conversion.design.graph
    entry, last = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    samples = np.ascontiguousarray(to_memory(inputs, rank=len(entry.shape)))

    def met(port: str) -> tuple[np.ndarray, list[int], Hello, int]:
        line = serial_link(port)
        try:
            flat, cycles, hello = outputs_on(line, samples, hash_of(conversion), last.elements)
        finally:
            line.close()
        return from_memory(flat, last.shape), cycles, hello, line.asked_again

    if on.startswith("serial:"):
        return met(on.removeprefix("serial:"))
    with tempfile.TemporaryDirectory(prefix="uc_nn_validate_") as temporary:
        elf = build_firmware(conversion, board, Path(temporary))
        with virtual_board(elf, board, faults) as port:
            return met(port)
