"""The model on a board: its validation firmware built, run on the virtual one or met at a serial port, and fed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.bench.toolchain import compile_model, link
from uc_nn_pio.boards import Board
from uc_nn_pio.converter import Conversion
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import input_names, output_names
from uc_nn_pio.errors import BoardError, ToolError, VirtualBoardError
from uc_nn_pio.graph.ir import Tensor
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.pio.rendering import is_fe310, rendered
from uc_nn_pio.ports import hifive1_uart
from uc_nn_pio.progress import track
from uc_nn_pio.validation.layers import BoardLayer, LayerCheck, check_words, expected_layers
from uc_nn_pio.validation.link import PATIENCE_S, Link, LinkError, meet, serial_link

START_S = 30.0
HASH_BYTES = 8
AUTO = "auto"
"""The name of the port that a HiFive1's USB id tells."""

_LOOK = (
    "a defect of the generated C or of the compiler: uc-nn validate SPEC --firmware validate.elf makes the program, "
    "uc-nn board run validate.elf --gdb 3333 goes through it"
)


def hash_of(conversion: Conversion) -> bytes:
    """What the firmware says of its network: the first bytes of the graph's sha256."""
    return bytes.fromhex(conversion.report["graph_sha256"])[:HASH_BYTES]


def build_firmware(conversion: Conversion, board: Board, folder: Path) -> Path:
    """``validate.elf`` in ``folder``.

    Raises:
        BoardError: the drivers are not for this board's chip.
        ToolError: no cross compiler.
    """
    if not is_fe310(board):
        raise BoardError(
            f"the validation firmware is not for {board.name}",
            why="its drivers are for the FE310",
            next_step="custom_uc_nn_samples runs test samples on any board (docs/boards.md)",
        )
    design = conversion.design
    variables = {
        "model": conversion.name,
        "MODEL": conversion.name.upper(),
        "element": "float" if design.precision == "float32" else "int8_t",
        "hash": ", ".join(f"0x{byte:02X}" for byte in hash_of(conversion)),
        "inputs": _ends(design, "input", design.graph.inputs, input_names(design)),
        "outputs": _ends(design, "output", design.graph.outputs, output_names(design)),
    }
    main = rendered({"main.c": "validate/main.c.j2"}, variables)
    for name, text in {**conversion.traced, **render_board_files(board), **main}.items():
        (folder / name).write_text(text, encoding="utf-8")
    compile_model(folder, conversion, board)
    link(folder, board, ["main.c", "model.o"], "validate")
    return folder / "validate.elf"


def _ends(design: Design, what: str, tensors: Sequence[str], names: Sequence[str]) -> list[dict[str, object]]:
    """Inputs or outputs: the C function that gives their place, and their bytes."""
    functions = [f"{what}_{name}" for name in names] or [what]
    return [
        {"function": function, "bytes": _bytes_of(design.graph.tensor(tensor))}
        for function, tensor in zip(functions, tensors, strict=True)
    ]


def _bytes_of(tensor: Tensor) -> int:
    return tensor.elements * np.dtype(tensor.dtype.value).itemsize


def _fault(log: Path) -> VirtualBoardError | None:
    """What a firmware has been stopped for, by the virtual board's log: by the board itself, which then waits for its
    client to go, or by a trap, as on silicon, in whose handler it stays."""
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        with contextlib.suppress(ValueError):  # a line that is still being written
            said = json.loads(line)
            if "error" in said:
                what = f"the virtual board stopped the firmware: {said['error']}"
                return VirtualBoardError(what, where=said["where"], why=said["why"], next_step=_LOOK)
            if said.get("report") == "trap":
                what = "the firmware ran into a trap on the virtual board"
                return VirtualBoardError(what, where=said["where"], why=said["message"], next_step=_LOOK)
    return None


@dataclass(frozen=True)
class Running:
    """A virtual board: the address of its UART, and whether it is still there."""

    port: str
    alive: Callable[[], bool]


@contextmanager
def virtual_board(elf: Path, board: Board, faults: Sequence[str] = ()) -> Iterator[Running]:
    """Runs a firmware in a process of its own, and leaves nothing running.

    Raises:
        ToolError: it did not start.
        VirtualBoardError: it stopped the firmware while somebody talked to it.
    """
    port_file, log = elf.with_suffix(".port"), elf.with_suffix(".log")
    command = [sys.executable, "-m", "uc_nn_pio.virtual", "run", str(elf), "--board", board.id, "--uart", "tcp:0"]
    command += ["--port-file", str(port_file), "--no-camera", "--speed", "max", "--idle-exit", "60"]
    command += ["--log", str(log), "--stall-limit", "off", *(part for fault in faults for part in ("--fault", fault))]
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
            yield Running(
                f"socket://127.0.0.1:{port_file.read_text().strip()}",
                lambda: process.poll() is None and not _fault(log),
            )
        except LinkError as error:
            raise (_fault(log) or error) from None
        finally:
            process.terminate()


class BoardTarget:
    """A model on a board that has answered. Several inputs go there one behind another, and outputs come so."""

    def __init__(self, conversion: Conversion, name: str, link: Link) -> None:
        self.name, self._design, self._link, self._report = name, conversion.design, link, conversion.report
        graph = self._design.graph
        self._inputs = [graph.tensor(tensor) for tensor in graph.inputs]
        self._outputs = [graph.tensor(tensor) for tensor in graph.outputs]
        self._output_bytes = sum(map(_bytes_of, self._outputs))
        input_bytes = sum(map(_bytes_of, self._inputs))
        layers = len(self._design.kernels)
        self.hello = meet(link, hash_of(conversion), input_bytes, self._output_bytes, layers)
        self.cycles: list[int] = []

    def _samples(self, inputs: Mapping[str, np.ndarray]) -> list[bytes]:
        """Each sample as the board takes it."""
        flat = [
            np.ascontiguousarray(to_memory(inputs[each.name], rank=len(each.shape)), each.dtype.value)
            for each in self._inputs
        ]
        return [b"".join(values.tobytes() for values in sample) for sample in zip(*flat, strict=True)]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {each.name: [] for each in self._outputs}
        for sample in track(self._samples(inputs), "validating on the board"):
            output, cycles = self._link.run(sample, self._output_bytes)
            self.cycles.append(cycles)
            at = 0
            for each in self._outputs:
                size = _bytes_of(each)
                found[each.name].append(np.frombuffer(output[at : at + size], each.dtype.value))
                at += size
        return {each.name: from_memory(np.stack(found[each.name]), each.shape) for each in self._outputs}

    def check(self, sample: Mapping[str, np.ndarray]) -> tuple[LayerCheck, ...]:
        (one,) = self._samples(sample)
        design, said = self._design, self._link.trace(one, len(self._design.kernels))
        predicted = [(layer.get("predicted") or {}).get("cycles") for layer in self._report["layers"]]
        return check_words(
            design, expected_layers(design, sample), [BoardLayer(cycles, word) for cycles, word in said], predicted
        )

    def about(self) -> Mapping[str, Any]:
        return {
            "cycles": tuple(self.cycles),
            "core_hz": self.hello.core_hz,
            "asked_again": self._link.asked_again,
        }


@contextmanager
def on_a_board(conversion: Conversion, board: Board, on: str, faults: Sequence[str] = ()) -> Iterator[BoardTarget]:
    """A board with the model, ``on`` the ``virtual`` one or ``serial:PORT``
    (``serial:auto``: the HiFive1 that is plugged in), for as long as it is needed.

    Raises:
        LinkError: it does not answer, or has another network.
        UcNnError: as :func:`build_firmware` and :func:`virtual_board`.
    """

    @contextmanager
    def met(port: str, **how: Any) -> Iterator[BoardTarget]:
        line = serial_link(port, **how)
        try:
            yield BoardTarget(conversion, on, line)
        finally:
            line.close()

    if on.startswith("serial:"):
        predicted = conversion.report.get("predicted") or {}
        run_s = 2 * predicted["cycles"] / predicted["core_hz"] if predicted.get("core_hz") else 0.0
        port = on.removeprefix("serial:")
        with met(hifive1_uart() if port == AUTO else port, run_s=run_s) as target:
            yield target
        return
    with tempfile.TemporaryDirectory(prefix="uc_nn_validate_") as temporary:
        elf = build_firmware(conversion, board, Path(temporary))
        # Nothing is lost on its line but what a fault takes, however slow this computer is.
        patience = {} if faults else {"answer_s": PATIENCE_S}
        with virtual_board(elf, board, faults) as running, met(running.port, alive=running.alive, **patience) as target:
            yield target
