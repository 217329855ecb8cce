"""What the board refuses: each stop and remark says where, what and why, and what to do."""

import re

import pytest

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import VirtualBoard, cli
from uc_nn_pio.virtual.disassembly import disassemble
from uc_nn_pio.virtual.stall import StallLimit

TRAPS = """
void on_trap(uint32_t cause, uint32_t epc, uint32_t value) {
  show("cause", cause); show("epc", epc); show("value", value); show("a4", saved); puts_("done\\n");
  for (;;) {}
}
"""
CULPRIT = "__attribute__((noinline)) void culprit(void) {{ {} }} int main(void) {{ {} culprit(); for (;;) {{}} }}"


def stopped(build, body: str, first: str = "", **options: object) -> str:
    """The words of the stop that ``body`` causes in a function named culprit."""
    board = VirtualBoard(build("test", source=CULPRIT.format(body, first)), **options)
    with pytest.raises(VirtualBoardError) as caught:
        board.run(max_seconds=1)
    assert caught.value.exit_code == 3
    return str(caught.value)


# -- access faults ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "cause", "address"),
    [
        ("lw a4, 4(a4)", 5, 0x40000000),
        ("lbu a4, 0(a4)", 5, 0x60000001),
        ("sw a4, 8(a4)", 7, 0x80004000),
        ("sb a4, 0(a4)", 7, 0x20500003),  # flash
        ("lw a4, 0(a4)", 5, 0x1000),  # the mask ROM, which this model lacks
    ],
)
def test_access_faults_go_to_the_handler_with_nothing_behind_them_done(run, instruction, cause, address):
    """Causes of the privileged architecture 1.10, table 3.6; mtval has the address."""
    board = run(
        "uint32_t saved;" + TRAPS + f"int main(void) {{ uart_init(RESET_HZ); __asm__ volatile("
        f'"li a4, {address:#x}\\n.globl bad\\nbad: {instruction}\\nla a5, saved\\nsw a4, 0(a5)"'
        '::: "a4", "a5", "memory"); for (;;) {} }'
    )
    got = {name: int(value, 16) for name, value in re.findall(r"(\w+)=([0-9a-f]{8})", board.text)}
    offset = int(re.search(r"(\d)\(", instruction)[1])
    assert got == {"cause": cause, "epc": board.firmware.symbol("bad"), "value": address + offset, "a4": 0}
    (report,) = board.reports.of("trap")
    assert instruction in report.message and f"0x{address + offset:08X}" in report.message


@pytest.mark.parametrize("address", [0x5000_0000, 0x1001_3000, 0xFFFF_FFFE, 0x8000_4000])
def test_a_jump_to_nowhere_goes_to_the_handler(run, address):
    board = run(
        "uint32_t saved;"
        + TRAPS
        + f"int main(void) {{ uart_init(RESET_HZ); ((void (*)(void)){address:#x}u)(); for (;;) {{}} }}"
    )
    got = {name: int(value, 16) for name, value in re.findall(r"(\w+)=([0-9a-f]{8})", board.text)}
    assert (got["cause"], got["epc"], got["value"]) == (1, address, address)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("(void)REG(0x40000004);", ["load access fault", "in culprit", "lw ", "0x40000004", "stray pointer"]),
        ("REG(0x20500000) = 1;", ["store access fault", "in culprit", "sw ", "a store to flash"]),
        (
            '__asm__ volatile("li a4, 0x80001002\\nsw a4, 0(a4)" ::: "a4");',
            ["exception 6: store address misaligned", "c.sw a4, 0(a4)", "no misaligned"],
        ),
        ("((void (*)(void))0x50000000)();", ["exception 1", "0x50000000", "ra is 0x", "in culprit"]),
        ("((void (*)(void))0x10013000)();", ["exception 1", "UART0 holds no code"]),
        ("((void (*)(void))0x20800000)();", ["exception 2", "erased flash"]),
        ('__asm__ volatile(".word 0x02a5f553");', ["exception 2", "floating point", "-march=rv32imac"]),
        ('__asm__ volatile("csrr a0, 0x7c0");', ["csrrs a0, 0x7C0, zero"]),
        ("(void)REG(0x10016000);", ["I2C controller of the FE310-G002"]),
    ],
)  # fmt: skip
def test_without_a_handler_the_stop_says_all_of_it(build, body, parts):
    """The register of a2-like operands is the compiler's choice, so only the mnemonic is checked."""
    text = stopped(build, f'__asm__ volatile("nop"); {body} __asm__ volatile("nop");')
    for part in [*parts, "mtvec"]:
        assert part in text


def test_random_ram_is_no_program(build):
    """Whatever the seed puts there, the run ends with an exception that names its place."""
    for seed in range(4):
        text = stopped(build, "((void (*)(void))0x80003000)();", seed=seed)
        assert "exception" in text and "pc 0x" in text


def test_a_trap_that_comes_over_and_over_stops(build):
    """The handler's own stack is where no memory is: on the chip this would loop for ever, without a word."""
    source = """void on_trap(void) {}
      __attribute__((naked, aligned(4))) void handler(void) { __asm__ volatile("nop\\nsw a0, 0(sp)\\nmret"); }
      int main(void) { CSR_WRITE(mtvec, (uint32_t)handler);
        __asm__ volatile("li sp, 0x7ffff000\\nsw a0, 0(sp)"); for (;;) {} }"""
    board = VirtualBoard(build("storm", source=source))
    with pytest.raises(VirtualBoardError, match=r"store access fault at pc .* in handler: c\.swsp a0, 0") as caught:
        board.run(max_seconds=1)
    assert "mend the trap handler" in str(caught.value)
    assert "below ram: the stack has overflowed" in str(caught.value)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x0107A503, "lw a0, 16(a5)"),
        (0xFEA12E23, "sw a0, -4(sp)"),
        (0x02A5D533, "divu a0, a1, a0"),
        (0x0000100F, "0x0000100F"),
        (0x43D8, "c.lw a4, 4(a5)"),
        (0xC3D8, "c.sw a4, 4(a5)"),
        (0x4522, "c.lwsp a0, 8(sp)"),
        (0xC62A, "c.swsp a0, 12(sp)"),
        (0x9502, "c.jalr a0"),
        (0x10000537, "0x10000537"),
        (0x0857A52F, "amoswap.w a0, t0, (a5)"),
    ],
)
def test_names_of_instructions(word, text):
    """Encodings by riscv64-unknown-elf-as, disassembled by objdump."""
    assert disassemble(word) == text


# -- silence ---------------------------------------------------------------------------------------------------


def test_an_endless_silent_loop_stops(build):
    board = VirtualBoard(build("test", source=CULPRIT.format("for (;;) {}", "")))
    with pytest.raises(VirtualBoardError, match="endless silent loop") as caught:
        board.run()
    assert "in culprit" in str(caught.value) or "in main" in str(caught.value)
    assert 10 <= board.seconds < 10.6
    assert board.result().instructions < 20_000_000, "time jumps through it"


def test_a_loop_that_counts_is_silent_too(build):
    elf = build("test", source=CULPRIT.format("volatile uint32_t n = 0; for (;;) n++;", ""))
    with pytest.raises(VirtualBoardError, match=r"2,\d+,\d+ instructions"):
        VirtualBoard(elf, stall_limit="2M").run()
    with pytest.raises(VirtualBoardError, match="endless silent loop"):
        VirtualBoard(elf, stall_limit="0.2s").run()
    assert VirtualBoard(elf, stall_limit="off").run(max_seconds=1).reason == "seconds"


def test_a_silent_loop_ends_with_the_time_that_was_asked_for(build):
    board = VirtualBoard(build("hello"))
    result = board.run(max_seconds=5)
    assert (result.reason, round(result.seconds, 3)) == ("seconds", 5.0)
    assert result.instructions < 20_000_000


@pytest.mark.parametrize("idle", ["", '__asm__ volatile("wfi");'])
def test_waiting_for_an_interrupt_is_no_silence(build, idle):
    """The timer comes after 20 s; before it the core sleeps, or loops with interrupts enabled."""
    source = f"""static volatile uint32_t seen;
      __attribute__((interrupt, aligned(4))) void handler(void) {{ seen = 1; CLINT(0x4004) = 1; }}
      int main(void) {{ CSR_WRITE(mtvec, (uint32_t)handler); CLINT(0x4004) = 0; CLINT(0x4000) = MTIME + 327680;
        CSR_SET(mie, 1 << 7); CSR_SET(mstatus, 1 << 3); while (!seen) {{ {idle} }}
        uart_init(RESET_HZ); puts_("done\\n"); for (;;) {{}} }}"""
    board = VirtualBoard(build("idle", source=source), stall_limit="1M" if not idle else "1s")
    assert board.run("done\n", max_seconds=11).reason == "until"


def test_waiting_for_a_device_is_no_silence(build):
    source = "int main(void) { uart_init(RESET_HZ); for (;;) { if (!(UART0(RXDATA) >> 31)) put('x'); } }"
    board = VirtualBoard(build("echo", source=source), stall_limit="1M")
    assert board.run(max_seconds=1).reason == "seconds"


def test_stall_limits():
    assert StallLimit.of("10s") == StallLimit(None, 10.0)
    assert StallLimit.of("1.5M") == StallLimit(1_500_000, None)
    for text in ("soon", "0", "-1s", "", "nan", "1h"):
        with pytest.raises(VirtualBoardError, match="stall-limit"):
            StallLimit.of(text)


def test_the_limit_from_the_command_line(build, capfd):
    elf = build("test", source=CULPRIT.format("volatile uint32_t n = 0; for (;;) n++;", ""))
    assert cli.main(["run", str(elf), "--stall-limit", "3M"]) == 3
    assert "endless silent loop" in capfd.readouterr().err


# -- flash and stack -------------------------------------------------------------------------------------------

IN_RAM = """__attribute__((section(".ramcode"), noinline)) void culprit(void) {{ {} }}
  int main(void) {{ culprit(); for (;;) {{}} }}"""


@pytest.mark.parametrize(
    ("ffmt", "said"),
    [
        (0x0003_0006, "cmd_en"),
        (0x009F_0007, "no read command"),
        (0x0003_0009, "4 address bytes"),
        (0x0003_0087, "8 dummy clocks; command 0x03 takes 0"),
        (0x00BB_0047, "lanes"),
    ],
)
def test_a_read_command_that_the_flash_does_not_answer(build, ffmt, said):
    assert said in stopped(build, f"QSPI0(0x64) = {ffmt:#x};")
    board = VirtualBoard(build("ram", source=IN_RAM.format(f"QSPI0(0x64) = {ffmt:#x};")))
    with pytest.raises(VirtualBoardError, match="runs from flash that cannot be read") as caught:
        board.run(max_seconds=0.1)
    assert said in str(caught.value) and "in main" in str(caught.value)


def test_flash_may_be_away_while_code_runs_from_ram(build):
    back = "QSPI0(0x60) = 0; for (volatile int i = 0; i < 50; i++) {} QSPI0(0x64) = 0xBB1447; QSPI0(0x60) = 1;"
    assert VirtualBoard(build("ram", source=IN_RAM.format(back))).run(max_seconds=0.01).reason == "seconds"
    board = VirtualBoard(build("ram", source=IN_RAM.format("QSPI0(0x60) = 0;")))
    with pytest.raises(VirtualBoardError, match="cannot be read") as caught:
        board.run(max_seconds=0.1)
    assert "fctrl is 0" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "mhz"),
    [("QSPI0(SCKDIV) = 1; pll(31, 1);", "64"), ("pll(31, 1); QSPI0(SCKDIV) = 1;", "64"), ("pll(31, 1);", None)],
)
def test_a_flash_clock_past_the_limit_of_its_command_is_remarked(build, change, mhz):
    """IS25LP128: 50 MHz for 0x03, whatever is set last: the divider or the core clock (256 MHz here)."""
    board = VirtualBoard(build("sck", source=f"int main(void) {{ {change} for (;;) {{}} }}"))
    board.run(max_seconds=0.02)
    said = [report.message for report in board.reports.of("flash")]
    assert said == ([f"flash clock {mhz} MHz is past the 50 MHz of command 0x03"] if mhz else [])


@pytest.mark.parametrize(("depth", "remarks"), [(3, 0), (40, 1)])
def test_a_stack_that_reaches_data_is_remarked(build, depth, remarks):
    """12 KiB of .bss, and frames of 256 bytes above it."""
    source = f"""static volatile uint32_t data[3072]; uint32_t end[0] __attribute__((section(".bss.z")));
      __asm__(".globl __stack_limit\\n.equ __stack_limit, 0x80003000");
      __attribute__((noinline)) uint32_t deep(uint32_t n) {{ volatile uint32_t local[60]; local[n % 60] = n;
        return n ? deep(n - 1) + local[n % 60] : data[0]; }}
      int main(void) {{ deep({depth}); for (;;) {{}} }}"""
    board = VirtualBoard(build("deep", source=source))
    board.run(max_seconds=0.2)
    said = board.reports.of("stack")
    assert len(said) == remarks
    assert all("__stack_limit" in report.message for report in said)
