/*
 * Start-up of a RISC-V core in machine mode: stack and global pointer, a trap handler, and what main() expects of memory.
 *
 * This file is yours: use, change and pass it on without conditions.
 */
#if defined(__riscv)

    .section .text.init, "ax"
    .globl _start
    .type _start, @function
_start:
    csrr t0, mhartid
    bnez t0, sleep /* one core runs, others wait */
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, __stack_top
    la t0, bare_trap
    csrw mtvec, t0

    la a0, __uc_nn_ram_start
    la a1, __uc_nn_ram_end
    la a2, __uc_nn_ram_load
    call copy
    la a0, __data_start
    la a1, __data_end
    la a2, __data_load
    call copy

    la a0, __bss_start
    la a1, __bss_end
    j 2f
1:  sw zero, 0(a0)
    addi a0, a0, 4
2:  bltu a0, a1, 1b

    call main
    call bare_exit

sleep:
    wfi
    j sleep
    .size _start, . - _start

    .type copy, @function
copy:
    bgeu a0, a1, 2f
1:  lw t0, 0(a2)
    sw t0, 0(a0)
    addi a0, a0, 4
    addi a2, a2, 4
    bltu a0, a1, 1b
2:  ret
    .size copy, . - copy

    .section .text.bare_trap, "ax"
    .balign 4
    .globl bare_trap
    .type bare_trap, @function
bare_trap: /* nothing here interrupts: a trap is a fault, and the end */
    la sp, __stack_top
    li a0, 1
    call bare_exit
    .size bare_trap, . - bare_trap

#endif
