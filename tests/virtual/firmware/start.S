/* Shortest start-up: handler, stack, .data, .bss, main. */
    .section .text.start, "ax"
    .globl _start
_start:
    la t0, on_trap /* a program without one has no handler: mtvec stays 0 */
    beqz t0, 1f
    la t0, trap_entry
    csrw mtvec, t0
1:
    la sp, _stack_top
    la a0, _data_start
    la a1, _data_end
    la a2, _data_load
1:  bgeu a0, a1, 2f
    lw t0, 0(a2)
    sw t0, 0(a0)
    addi a0, a0, 4
    addi a2, a2, 4
    j 1b
2:  la a0, _bss_start
    la a1, _bss_end
3:  bgeu a0, a1, 4f
    sw zero, 0(a0)
    addi a0, a0, 4
    j 3b
4:  fence.i
    call main
5:  j 5b

    .align 2
    .weak trap_entry
trap_entry:
    csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    la sp, _stack_top
    call on_trap
6:  j 6b

    .weak on_trap
