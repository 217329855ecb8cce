/*
 * A guard at the lower end of the stack. Start-up writes FE310_STACK_GUARD_WORDS words there; the build reserves them
 * beside what it has computed that the program needs. A stack that leaves RAM traps by itself; the guard tells of one that
 * took more than was computed, while there still is something to tell it with.
 */
#ifndef FE310_STACK_H
#define FE310_STACK_H

#define FE310_STACK_GUARD 0x57ACC0DE
#define FE310_STACK_GUARD_WORDS 4 /* a frame may leave out a word or two */

#ifndef __ASSEMBLER__
/* Stops the board with a line of text if a word of the guard has changed. Takes about 50 cycles. */
void fe310_stack_check(void);
#endif

#endif
