"""Files of a firmware build that come from board data alone: the linker script, and the header of clocks and pins."""

from __future__ import annotations

from uc_nn_pio.boards import Board, Region
from uc_nn_pio.errors import BoardError
from uc_nn_pio.pio.rendering import rendered

DEFAULT_STACK_BYTES = 2048
"""Stack of a program that is linked without ``--defsym=__uc_nn_stack_bytes=N``, which PlatformIO builds set."""

FLASH_CHOICES = {"reset": None, "dual_io": "dual I/O"}
"""Values of ``custom_uc_nn_flash``, and what the firmware calls them."""

RESET_SCKDIV = 3
"""QSPI0's divider after reset. A smaller one gives its sampling fewer core clocks: only on the user's word."""

_ATTRIBUTES = {"xip": "rx", "dtim": "rwx", "itim": "rwx", "sram": "rwx"}


def render_board_files(
    board: Board, *, core_hz: int | None = None, flash: str = "reset", stack_bytes: int = DEFAULT_STACK_BYTES
) -> dict[str, str]:
    """Return ``link.ld`` and ``uc_nn_board.h`` for a board.

    Args:
        board: its regions, clocks and pins.
        core_hz: core clock in Hz; the board's default without it. ``-D UC_NN_CORE_HZ`` overrides both.
        flash: a key of :data:`FLASH_CHOICES`: how the firmware has QSPI0 read the flash.
        stack_bytes: size of the ``.stack`` section where the linker is not told another, a multiple of 16.

    Raises:
        BoardError: a clock the board does not run at, flash settings that it has no data for, a stack that RAM does not
            hold, or regions that contradict themselves.
    """
    _check_regions(board)
    if core_hz is None:
        core_hz = board.clocks["core_default_hz"]
    _check_core(board, core_hz)
    if stack_bytes <= 0 or stack_bytes % 16 or stack_bytes > board.ram.size // 2:
        raise BoardError(
            f"a stack of {stack_bytes} bytes is not possible on {board.name}",
            why=f"it is a multiple of 16, and at most half of its {board.ram.size} bytes of RAM",
        )
    variables = {
        "board": board,
        "start_file": _start_file(board),
        "clocks": board.clocks,
        "core_hz": core_hz,
        "flash": _flash_settings(board, flash, core_hz),
        "stack_bytes": stack_bytes,
        "uart": board.details.get("uart"),
        "exit": board.details.get("exit"),
        "pins": sorted(board.pins.items(), key=lambda item: (item[1], item[0])),
        "regions": [
            {"name": r.name, "attributes": _ATTRIBUTES.get(r.kind, "rw"), "origin": f"0x{r.origin:08X}", "size": r.size}
            for r in board.regions.values()
        ],
        "memory_lines": _memory_lines(board),
        "flash_origin": f"0x{board.flash.origin:08X}",
        "flash_end": f"0x{board.flash.end:08X}",
        "flash_size": board.flash.size,
        "ram_origin": f"0x{board.ram.origin:08X}",
        "ram_end": f"0x{board.ram.end:08X}",
        "ram_size": board.ram.size,
    }
    return rendered({name: f"board/{name}.j2" for name in ("link.ld", "uc_nn_board.h")}, variables)


def _start_file(board: Board) -> str:
    """Which file of ``firmware_template/lib`` begins a program."""
    if board.chip.startswith("fe310"):
        return "fe310_start.S"
    return "bare_start_arm.c" if board.arch == "arm" else "bare_start_riscv.S"


def _memory_lines(board: Board) -> list[str]:
    """The memory map as a person reads it."""
    flash, ram = board.flash, board.ram
    lines = []
    if flash.device_origin is not None and flash.device_origin < flash.origin:
        lines.append(f"0x{flash.device_origin:08X}  bootloader, not ours")
    return [
        *lines,
        f"0x{flash.origin:08X}  flash: .text, .rodata, images of .uc_nn_ram and .data   {flash.size} bytes",
        f"0x{ram.origin:08X}  RAM:   .stack, .uc_nn_ram, .data, .bss                    {ram.size} bytes",
    ]


def _flash_settings(board: Board, flash: str, core_hz: int) -> dict[str, object] | None:
    """What the header says of QSPI0; ``None`` for reset settings."""
    if flash not in FLASH_CHOICES:
        raise BoardError(
            f"{flash!r} is no way to read the flash",
            where="custom_uc_nn_flash",
            why=f"there are {', '.join(FLASH_CHOICES)}",
            next_step="did you mean dual_io?" if "dual" in flash.lower() else "leave it out for the reset settings",
        )
    text = FLASH_CHOICES[flash]
    if text is None:
        return None
    data = board.details.get("qspi", {}).get(flash)
    if data is None:
        raise BoardError(
            f"how {board.name} reads its flash with {flash} is not known",
            where="custom_uc_nn_flash",
            why=f"its board data have no qspi.{flash}",
            next_step="remove the option, or add the data (docs/boards.md)",
        )
    top = data["sck_max_hz"]
    sckdiv = max(RESET_SCKDIV, -(-core_hz // (2 * top)) - 1)
    return {"name": flash, "text": text, "ffmt": data["ffmt"], "sckdiv": sckdiv, "sck_max_hz": top}


def _check_core(board: Board, core_hz: int) -> None:
    top = board.clocks["core_max_hz"]
    if not 0 < core_hz <= top:
        choices = ", ".join(str(hz) for hz in board.clocks.get("core_choices_hz", ()))
        raise BoardError(
            f"a core clock of {core_hz} Hz is not possible on {board.name}",
            where="custom_uc_nn_core_hz",
            why=f"it runs at up to {top} Hz",
            next_step=f"choose one of {choices}" if choices else None,
        )


def _check_regions(board: Board) -> None:
    """User code must not touch the bootloader, nor lie past the end of the part."""
    for name in ("flash", "ram"):
        if name not in board.regions:
            raise BoardError(f"board data of {board.id!r} have no region {name!r}", next_step="see docs/boards.md")
    for region in board.regions.values():
        if region.origin % 16 or region.size <= 0:
            raise BoardError(f"region {region.name!r} of {board.id!r} begins at {region.origin:#x}, size {region.size}")
        _check_device(board, region)


def _check_device(board: Board, region: Region) -> None:
    if region.device_origin is None or region.device_size is None:
        return
    end = region.device_origin + region.device_size
    if region.origin < region.device_origin or region.end > end:
        raise BoardError(
            f"region {region.name!r} of {board.id!r} is 0x{region.origin:08X}..0x{region.end:08X}, outside its part",
            why=f"the part spans 0x{region.device_origin:08X}..0x{end:08X}",
        )
