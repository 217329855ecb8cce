/*
 * fe310_flash_set(): see fe310_flash.h. The part that changes QSPI0 cannot run from the flash behind it, so it is copied
 * to the stack, and uses nothing but registers there. fence.i by number, as in fe310_start.S.
 */

#define QSPI0_BASE 0x10014000
#define QSPI0_SCKDIV 0x00
#define QSPI0_FCTRL 0x60
#define QSPI0_FFMT 0x64
#define ERROR_FLASH -10 /* FE310_ERROR_FLASH */

#define CODE_BYTES 144 /* a multiple of 16 */
#define FRAME (CODE_BYTES + 16)

/* Byte i is FIRST + i STEP modulo 256: with an odd step each value comes once, and neighbours differ in many bits. */
#define PATTERN_BYTES 256
#define PATTERN_FIRST 77
#define PATTERN_STEP 181

    .section .text.fe310_flash_set, "ax", @progbits
    .globl fe310_flash_set
    .type fe310_flash_set, @function
    .balign 4
fe310_flash_set:
    addi sp, sp, -FRAME
    sw ra, FRAME - 4(sp)
    la t0, .Lcode
    addi t1, t0, CODE_BYTES
    mv t2, sp
1:  lw t3, 0(t0)
    sw t3, 0(t2)
    addi t0, t0, 4
    addi t2, t2, 4
    bne t0, t1, 1b
    .insn i 0x0F, 1, x0, x0, 0 /* fence.i */
    la a2, fe310_flash_pattern
    jalr ra, 0(sp)
    lw ra, FRAME - 4(sp)
    addi sp, sp, FRAME
    ret

/* a0: ffmt, a1: sckdiv, a2: the pattern; returns a0. */
    .balign 4
.Lcode:
    li t0, QSPI0_BASE
    lw t1, QSPI0_SCKDIV(t0)
    lw t2, QSPI0_FFMT(t0)
    li a3, 1
    sw x0, QSPI0_FCTRL(t0) /* flash not mapped: its settings may change */
    sw a1, QSPI0_SCKDIV(t0)
    sw a0, QSPI0_FFMT(t0)
    sw a3, QSPI0_FCTRL(t0)
    lw x0, QSPI0_FCTRL(t0) /* the write has arrived before the next read */
    li a0, 0
    mv t3, a2
    addi t4, a2, PATTERN_BYTES
    li t5, PATTERN_FIRST
1:  lbu a4, 0(t3)
    andi a5, t5, 0xFF
    bne a4, a5, 3f
    addi t5, t5, PATTERN_STEP
    addi t3, t3, 1
    bne t3, t4, 1b
2:  addi t3, t3, -1
    addi t5, t5, -PATTERN_STEP
    lbu a4, 0(t3)
    andi a5, t5, 0xFF
    bne a4, a5, 3f
    bne t3, a2, 2b
    ret
3:  li a0, ERROR_FLASH
    sw x0, QSPI0_FCTRL(t0)
    sw t1, QSPI0_SCKDIV(t0)
    sw t2, QSPI0_FFMT(t0)
    sw a3, QSPI0_FCTRL(t0)
    lw x0, QSPI0_FCTRL(t0)
    ret
    .org .Lcode + CODE_BYTES, 0 /* refused by the assembler if the code is longer */
    .size fe310_flash_set, . - fe310_flash_set

    .section .rodata.fe310_flash_pattern, "a", @progbits
    .type fe310_flash_pattern, @object
fe310_flash_pattern:
    .set value, PATTERN_FIRST
    .rept PATTERN_BYTES
    .byte value & 0xFF
    .set value, value + PATTERN_STEP
    .endr
    .size fe310_flash_pattern, . - fe310_flash_pattern
