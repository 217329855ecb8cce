/*
 * Start-up of an FE310, from flash or from a debugger, with the chip in any state: clocks, QSPI0, UART, watchdog and
 * interrupts may be as another program left them, RAM holds anything.
 *
 * The order is what makes it safe:
 *   1. traps to a handler that prints, interrupts off          from here on a fault is seen
 *   2. gp, sp, watchdog off                                    from here on nothing resets us
 *   3. core to HFROSC, before anyone touches the PLL           from here on no divider is too small
 *   4. QSPI0 to SCK = core / 8 and command 0x03                by code in RAM: flash cannot be fetched from meanwhile
 *   5. .uc_nn_ram and .data copied, .bss cleared, fence.i      from here on C works
 *   6. the guard at the foot of the stack, main(), which sets PLL and UART
 *
 * Symbols come from the linker script. CSR instructions and fence.i are spelled by number: assemblers differ in which
 * -march they want for their names (GCC 8: none, GCC 12: _zicsr_zifencei), and these bytes suit all.
 */

#include "fe310_stack.h"

#define CSR_MSTATUS 0x300
#define CSR_MIE 0x304
#define CSR_MTVEC 0x305
#define CSR_MEPC 0x341
#define CSR_MCAUSE 0x342
#define CSR_MTVAL 0x343

.macro write_csr csr, register
    .insn i 0x73, 1, x0, \register, \csr
.endm

.macro read_csr register, csr
    .insn i 0x73, 2, \register, x0, \csr
.endm

.macro fence_i
    .insn i 0x0F, 1, x0, x0, 0
.endm

#define AON_WDOGCFG 0x10000000
#define AON_WDOGKEY 0x1C /* offsets from AON_WDOGCFG */
#define WDOGKEY_VALUE 0x51F15E
#define PRCI_BASE 0x10008000
#define PRCI_HFROSCCFG 0x00
#define PRCI_PLLCFG 0x08
#define HFROSC_RESET 0x40100004 /* enabled, trim 16, divided by 5: 14.4 MHz */
#define PLL_SEL 0x10000
#define QSPI0_BASE 0x10014000
#define QSPI0_SCKDIV 0x00
#define QSPI0_FCTRL 0x60
#define QSPI0_FFMT 0x64
#define FFMT_RESET 0x00030007 /* command 0x03, 3 address bytes, no dummy clocks, one line */

    .section .text.init, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    la t0, trap_entry
    write_csr CSR_MTVEC, t0
    li tp, 0 /* tp says whether C works yet: nothing else uses it */
    write_csr CSR_MIE, x0
    write_csr CSR_MSTATUS, x0

    .option push
    .option norelax /* relaxed, this would be gp = gp */
    la gp, __global_pointer$
    .option pop
    la sp, __stack_top

    li t0, AON_WDOGCFG
    li t1, WDOGKEY_VALUE
    sw t1, AON_WDOGKEY(t0)
    sw x0, 0(t0)

    jal ra, core_to_hfrosc
    jal ra, qspi0_to_reset_settings
    jal ra, prepare_c
    li tp, 1

    la t0, __stack_bottom
    addi t1, t0, 4 * FE310_STACK_GUARD_WORDS
    li t2, FE310_STACK_GUARD
1:  sw t2, 0(t0)
    addi t0, t0, 4
    bne t0, t1, 1b

    li a0, 0
    li a1, 0
    call main
    call fe310_main_returned
1:  j 1b

/* Every wait has an end: if HFROSC never says it is ready, go on and hope. About 0.1 s at the fastest clock. */
core_to_hfrosc:
    li t0, PRCI_BASE
    li t1, HFROSC_RESET
    sw t1, PRCI_HFROSCCFG(t0)
    li t3, 4000000
1:  lw t1, PRCI_HFROSCCFG(t0)
    bltz t1, 2f /* bit 31: ready */
    addi t3, t3, -1
    bnez t3, 1b
2:  lw t1, PRCI_PLLCFG(t0)
    li t2, ~PLL_SEL
    and t1, t1, t2
    sw t1, PRCI_PLLCFG(t0)
    ret

/* Copies the routine below to the foot of the stack, which nothing uses yet, and runs it there. */
qspi0_to_reset_settings:
    la a0, qspi0_code
    la a1, __stack_bottom
    la a2, qspi0_code_end
    mv t6, a1
1:  lw t1, 0(a0)
    sw t1, 0(a1)
    addi a0, a0, 4
    addi a1, a1, 4
    bltu a0, a2, 1b
    fence_i
    jr t6 /* returns to our caller, through ra */

    .balign 4
qspi0_code:
    li t0, QSPI0_BASE
    sw x0, QSPI0_FCTRL(t0) /* flash not mapped: its settings may change */
    li t1, 3
    sw t1, QSPI0_SCKDIV(t0)
    li t1, FFMT_RESET
    sw t1, QSPI0_FFMT(t0)
    li t1, 1
    sw t1, QSPI0_FCTRL(t0)
    lw t1, QSPI0_FCTRL(t0) /* the write has arrived before the next fetch */
    ret
    .balign 4
qspi0_code_end:

prepare_c:
    la a0, __uc_nn_ram_load
    la a1, __uc_nn_ram_start
    la a2, __uc_nn_ram_end
    mv t5, ra
    jal ra, copy_words
    la a0, __data_load
    la a1, __data_start
    la a2, __data_end
    jal ra, copy_words
    la a1, __bss_start
    la a2, __bss_end
    bgeu a1, a2, 2f
1:  sw x0, 0(a1)
    addi a1, a1, 4
    bltu a1, a2, 1b
2:  fence_i
    jr t5

/* from a0 to a1 until a2; whole words, the linker script aligns all three */
copy_words:
    bgeu a1, a2, 2f
1:  lw t1, 0(a0)
    sw t1, 0(a1)
    addi a0, a0, 4
    addi a1, a1, 4
    bltu a1, a2, 1b
2:  ret

/* Never returns, so it saves nothing and takes the whole stack: an overflow of it may be why we are here. */
    .balign 4 /* mtvec holds a word address */
trap_entry:
    la t0, park
    write_csr CSR_MTVEC, t0 /* a second trap: be quiet */
    read_csr s0, CSR_MCAUSE
    read_csr s1, CSR_MEPC
    read_csr s2, CSR_MTVAL
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, __stack_top
    bnez tp, 1f
    jal ra, core_to_hfrosc
    jal ra, prepare_c
1:  mv a0, s0
    mv a1, s1
    mv a2, s2
    call fe310_trap
    .balign 4
park:
    j park
    .size _start, . - _start
