"""The stack that a program needs, from its machine code: programs whose frames the compiler states, and odd ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.build import COMPILE, GCC, MACHINE, build_firmware
from uc_nn_pio.pio.stack_need import Image, UnboundedError, Walk, read_usage, stack_need
from uc_nn_pio.virtual.board import VirtualBoard

# Each function has a frame of its own, which -fstack-usage states.
CODE = """
#define ALONE __attribute__((noipa, noinline))
void use(void *);
ALONE void use(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); }
ALONE void small(void) { char a[40]; use(a); }
ALONE void large(void) { char a[5000]; use(a); small(); }
ALONE int handler(int x) { char a[300]; use(a); return x; }
"""


def compiled(folder: Path, body: str, *flags: str) -> Path:
    """A program that starts in ``main``, with ``.su`` files beside it."""
    (folder / "x.c").write_text(CODE + body)
    command = [GCC, *COMPILE, *MACHINE, "-mcmodel=medany", "-fstack-usage", "-std=gnu99", *flags]
    link = ["-nostdlib", "-nostartfiles", "-Wl,-emain,-Ttext=0x20400000", "-lgcc", "-o", "x.elf"]
    subprocess.run([*command, "-c", "x.c"], cwd=folder, check=True)
    subprocess.run([GCC, *MACHINE, "x.o", *link], cwd=folder, check=True)
    return folder / "x.elf"


@pytest.mark.parametrize("flags", [("-Os",), ("-O2",), ("-O0",)])
def test_frames_add_up_along_the_deepest_path(tmp_path, flags):
    elf = compiled(tmp_path, "int main(void) { small(); large(); return 0; }", *flags)
    usage = read_usage(tmp_path)
    need, path = stack_need(elf)
    assert path[:2] == ["main", "large"]
    assert need == usage["main"] + usage["large"] + max(usage["small"] + usage["use"], usage["use"])
    assert stack_need(elf, tmp_path) == (need, path)


def test_every_frame_is_the_compilers_figure(tmp_path):
    """The whole demo, function by function."""
    elf = build_firmware(tmp_path, flags=("-fstack-usage",))
    usage = read_usage(tmp_path)
    assert len(usage) >= 5
    walk = Walk(Image(elf))
    walk.need(walk.image.entry)
    seen = {walk.name(entry): bytes_ for entry, (bytes_, _, _) in walk.done.items()}
    for name in usage.keys() & seen.keys():
        assert seen[name] >= usage[name], name


def test_a_pointer_counts_with_the_deepest_function_that_it_could_be(tmp_path):
    body = "int (*volatile f)(int) = handler; int main(void) { return f(1) + 1; }"
    elf = compiled(tmp_path, body)
    usage = read_usage(tmp_path)
    assert stack_need(elf)[0] == usage["main"] + usage["handler"] + usage["use"]


def test_a_switch_is_no_call(tmp_path):
    cases = " ".join(f"case {i}: use((void *){i * i + 7}); return {i * 31 % 17};" for i in range(12))
    pick = f"ALONE int pick(int n) {{ switch (n) {{ {cases} }} small(); return 3; }}"
    elf = compiled(tmp_path, f"{pick} int main(void) {{ return pick(4) + 1; }}")
    usage = read_usage(tmp_path)
    assert stack_need(elf)[0] == usage["main"] + usage["pick"] + usage["small"] + usage["use"]


def test_an_interrupt_comes_on_top(tmp_path):
    isr = "__attribute__((interrupt)) void isr(void) { small(); }"
    body = f'{isr} int main(void) {{ large(); __asm__("" :: "r"(isr)); return 0; }}'
    elf = compiled(tmp_path, body)
    usage = read_usage(tmp_path)
    need, path = stack_need(elf)
    small = usage["small"] + usage["use"]
    assert need == usage["main"] + usage["large"] + small + usage["isr"] + small
    assert "interrupt: isr" in path


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "int main(void); ALONE int deep(int n) { char a[9]; use(a); return n ? deep(n - 1) + a[0] : 1; }"
            "int main(void) { return deep(9) + 1; }",
            "recursion: deep > deep",
        ),
        ("int main(void) { volatile int n = 5; char a[n]; use(a); return 0; }", "main takes stack without a bound"),
        ("int main(void) { return ((int (*)(int))(*(volatile int *)64))(1) + 1; }", "main calls through a pointer"),
    ],
)
def test_what_has_no_bound_is_said(tmp_path, body, said):
    with pytest.raises(UnboundedError, match=said):
        stack_need(compiled(tmp_path, body))


def test_a_stack_that_reaches_its_guard_is_told(tmp_path):
    """An array whose length the build does not know takes all of the stack, to its last byte."""
    main = tmp_path / "main.c"
    main.write_text(
        '#include "fe310.h"\n'
        "extern uint32_t __stack_bottom[];\n"
        "static __attribute__((noinline)) void fill(uint32_t bytes)\n"
        "{\n"
        "    uint8_t space[bytes];\n"
        "    uint32_t at;\n"
        "    for (at = 0u; at < bytes; ++at) {\n"
        "        ((volatile uint8_t *)space)[at] = 0x55u;\n"
        "    }\n"
        "}\n"
        "int main(void);\n"
        "int main(void)\n"
        "{\n"
        "    (void)fe310_timer_init();\n"
        "    (void)fe310_uart_init(115200u);\n"
        "    fill(1500u);\n"
        "    fe310_stack_check();\n"
        '    fe310_print("fine\\n");\n'
        "    fill(2048u - 36u);\n"
        "    fe310_stack_check();\n"
        '    fe310_print("not told\\n");\n'
        "    return 0;\n"
        "}\n"
    )
    board = VirtualBoard(build_firmware(tmp_path / "b", main=main), "hifive1", camera=False)
    board.run(max_seconds=0.3)
    assert "fine" in board.text and "not told" not in board.text
    assert "error: the stack has reached its guard: it needs more than was reserved (custom_uc_nn_stack)" in board.text
