"""The firmware as compilers and linker see it: no warnings, no C library, everything where it belongs."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.firmware.build import (
    DRIVERS,
    GCC,
    MACHINE,
    ROOT,
    STAND_IN,
    STRICT,
    build_firmware,
    driver_sources,
    includes,
    run,
)
from uc_nn_pio.boards import load_board
from uc_nn_pio.errors import BoardError
from uc_nn_pio.pio.board_files import render_board_files

# Where user code starts: SiFive's freedom-e-sdk. The bootloader is below.
USER_CODE = {"hifive1": 0x20400000, "hifive1_virtual": 0x20400000, "hifive1-revb": 0x20010000}


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(tmp_path_factory.mktemp("firmware"))


def symbols(path: Path) -> dict[str, int]:
    with path.open("rb") as file:
        return {
            symbol.name: symbol["st_value"] for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols()
        }


def sections(path: Path) -> dict[str, tuple[int, int, str]]:
    with path.open("rb") as file:
        return {
            s.name: (s["sh_addr"], s["sh_size"], s["sh_type"]) for s in ELFFile(file).iter_sections() if s["sh_addr"]
        }


@pytest.mark.parametrize(
    "flags",
    [
        ["-mcmodel=medany"],
        ["-mcmodel=medlow"],
        ["-mcmodel=medany", "-misa-spec=2.2"],
        ["-mcmodel=medany", "-O2"],
        ["-mcmodel=medany", "-std=c11", "-pedantic"],
    ],
)
def test_drivers_have_no_warnings_on_risc_v(tmp_path, flags):
    """CSR instructions assemble whether or not the flags know them: GCC 8 has no such flag, GCC 12 needs one."""
    for source in driver_sources():
        run(
            [GCC, "-c", "-Os", "-ffreestanding", *STRICT, *MACHINE, *flags, *includes(), source, "-o", tmp_path / "x.o"]
        )


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_drivers_have_no_warnings_on_the_host(tmp_path, compiler):
    for source in driver_sources(".c"):
        run([compiler, "-c", "-O2", "-DFE310_HOST", "-pedantic", *STRICT, *includes(), source, "-o", tmp_path / "x.o"])


@pytest.mark.parametrize("board", sorted(USER_CODE))
def test_code_starts_where_the_bootloader_jumps_to(tmp_path, board):
    elf = build_firmware(tmp_path, board=board)
    with elf.open("rb") as file:
        image = ELFFile(file)
        assert image.header["e_entry"] == USER_CODE[board] == symbols(elf)["_start"]
        loaded = [s for s in image.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
        assert min(segment["p_paddr"] for segment in loaded) == USER_CODE[board]


def test_layout(elf):
    """Stack first in RAM, where an overflow traps; data after it; constants and code in flash."""
    found = sections(elf)
    names = symbols(elf)
    assert found[".stack"] == (0x80000000, 2048, "SHT_NOBITS")
    assert names["__stack_top"] == 0x80000800
    for name in (".uc_nn_ram", ".data", ".bss"):
        assert 0x80000800 <= found[name][0] < 0x80004000
    for name in (".text", ".rodata"):
        assert 0x20400000 <= found[name][0] < 0x21000000
    assert found[".bss"][2] == "SHT_NOBITS"
    assert found[".uc_nn_ram"][1] == 4  # the stand-in keeps one word there
    assert abs(names["__global_pointer$"] - names["__data_start"]) <= 0x800 + found[".data"][1] + 8


def test_size_bars_count_the_stack(elf):
    script = ROOT / "uc_nn_pio" / "pio" / "platform" / "builder" / "uc_nn_size.py"
    lines = run(["python3", script, elf, "0x80000000", "0x80004000"]).split()
    found = sections(elf)
    ram = sum(found[name][1] for name in (".stack", ".uc_nn_ram", ".data", ".bss"))
    flash = sum(found[name][1] for name in (".text", ".rodata", ".uc_nn_ram", ".data"))
    assert lines == ["ram", str(ram), "flash", str(flash)]


def test_no_c_library_and_no_soft_float_in_the_drivers(tmp_path):
    """Undefined names of the drivers are the drivers' own, the linker script's, main, and integer helpers of libgcc."""
    objects = []
    for source in driver_sources():
        objects.append(tmp_path / f"{source.stem}.o")
        flags = ["-Os", "-ffreestanding", *STRICT, *MACHINE, "-mcmodel=medany"]
        run([GCC, "-c", *flags, *includes(), source, "-o", objects[-1]])
    nm = [line.split() for line in run(["riscv64-unknown-elf-nm", *objects]).splitlines() if line]
    defined = {parts[2] for parts in nm if len(parts) == 3}
    wanted = {parts[1] for parts in nm if len(parts) == 2 and parts[0] == "U"} - defined
    script = {name for name in wanted if name.startswith("__") or name == "main"}
    assert wanted == script
    assert not any(name.endswith(("sf3", "df3", "sfsi", "sisf")) for name in wanted)
    assert {"memcpy", "memmove", "memset", "memcmp"} <= defined


def test_the_flags_of_sifive_s_bare_builder(tmp_path):
    """platform-sifive compiles bare projects with these, and links a C library: ours wins where names are the same."""
    for name, text in render_board_files(load_board("hifive1")).items():
        (tmp_path / name).write_text(text)
    machine = [*MACHINE, "-mcmodel=medany"]
    sources = [
        *driver_sources(),
        STAND_IN / "tiny.c",
        build_firmware(tmp_path / "b").parent / "project" / "src" / "main.c",
    ]
    elf = tmp_path / "bare.elf"
    link = ["-nostartfiles", "-Wl,--gc-sections", "-T", tmp_path / "link.ld", "-nostdlib", "-lgcc"]
    command = [
        GCC,
        "-Os",
        "-Wall",
        "-Werror",
        "-ffreestanding",
        *machine,
        *includes(tmp_path, STAND_IN),
        *sources,
        *link,
    ]
    run([*command, "-o", elf])
    assert symbols(elf)["_start"] == 0x20400000
    assert symbols(elf)["memcpy"] >= 0x20400000


# What the linker script refuses -------------------------------------------------------------------


def link(folder: Path, script: str, extra: str = "") -> subprocess.CompletedProcess[str]:
    """Link a small program with ``script``."""
    (folder / "link.ld").write_text(script)
    (folder / "main.c").write_text(f"int main(void);\nint main(void) {{ return 0; }}\n{extra}")
    flags = [
        "-Os",
        "-ffreestanding",
        *MACHINE,
        "-mcmodel=medany",
        "-nostdlib",
        "-nostartfiles",
        "-T",
        folder / "link.ld",
    ]
    command = [GCC, *flags, *includes(), folder / "main.c", *driver_sources(), "-lgcc", "-o", folder / "x.elf"]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture
def script() -> str:
    return render_board_files(load_board("hifive1"))["link.ld"]


def test_the_small_program_links(tmp_path, script):
    assert link(tmp_path, script).returncode == 0


def test_code_below_the_user_area_is_refused(tmp_path, script):
    done = link(tmp_path, script.replace("ORIGIN = 0x20400000", "ORIGIN = 0x203FFF00"))
    assert done.returncode != 0 and "bootloader" in done.stderr


def test_too_much_data_is_refused(tmp_path, script):
    done = link(tmp_path, script, "unsigned char big[15000] = {1};\n")
    assert done.returncode != 0 and "ram" in done.stderr


def test_too_much_bss_is_refused(tmp_path, script):
    done = link(tmp_path, script, "unsigned char big[16384 - 2048];\n")
    assert done.returncode != 0 and "ram" in done.stderr


def test_a_program_without_start_up_code_is_refused(tmp_path, script):
    extra = '__attribute__((section(".text.init"))) int first(void) { return 1; }\n'
    done = link(tmp_path, script, extra)
    assert done.returncode != 0 and "_start" in done.stderr


# Board files --------------------------------------------------------------------------------------


def test_core_clock_is_the_data_sheet_s_unless_asked_for(tmp_path):
    board = load_board("hifive1")
    assert "#define UC_NN_CORE_HZ 320000000u" in render_board_files(board)["uc_nn_board.h"]
    assert "#define UC_NN_CORE_HZ 352000000u" in render_board_files(board, core_hz=352_000_000)["uc_nn_board.h"]
    with pytest.raises(BoardError, match="400000000"):
        render_board_files(board, core_hz=400_000_000)
    with pytest.raises(BoardError):
        render_board_files(board, core_hz=0)


def test_core_clock_by_build_flag_is_checked_by_the_compiler(tmp_path):
    assert build_firmware(tmp_path / "a", flags=("-DUC_NN_CORE_HZ=160000000u",)).is_file()
    with pytest.raises(AssertionError, match="UC_NN_CORE_MAX_HZ"):
        build_firmware(tmp_path / "b", flags=("-DUC_NN_CORE_HZ=400000000u",))


@pytest.mark.parametrize("stack", [0, -16, 1000, 16384])
def test_odd_stacks_are_refused(stack):
    with pytest.raises(BoardError, match=f"{stack} bytes"):
        render_board_files(load_board("hifive1"), stack_bytes=stack)


def test_regions_outside_their_part_are_refused():
    board = load_board("hifive1")
    below = dataclasses.replace(board.flash, origin=0x1FFF0000)
    beyond = dataclasses.replace(board.flash, size=0x1000000)
    for flash in (below, beyond):
        with pytest.raises(BoardError, match="outside its part"):
            render_board_files(dataclasses.replace(board, regions={**board.regions, "flash": flash}))


def test_pins_and_clocks_are_the_board_s():
    header = render_board_files(load_board("hifive1-revb"))["uc_nn_board.h"]
    for line in ("PIN_SCCB_SDA 12u", "PIN_SCCB_SCL 13u", "PIN_CAMERA_CS 2u", "PIN_ESP32_CS 9u", "RTC_HZ 32768u"):
        assert f"#define UC_NN_{line}" in header
    assert "ESP32" not in render_board_files(load_board("hifive1"))["uc_nn_board.h"]


def test_drivers_are_whole_platformio_libraries():

    for folder in (path for path in DRIVERS.iterdir() if path.is_dir()):
        manifest = json.loads((folder / "library.json").read_text())
        assert manifest["name"] == folder.name
        assert manifest["build"]["libArchive"] is False
        assert (folder / manifest["headers"]).is_file()
