/*
 * Boards without drivers of their own: a UART that prints, and an end with an exit code. uc_nn_board.h, made from board
 * data, says which UART and which end.
 *
 * This file is yours: use, change and pass it on without conditions.
 */
#ifndef BARE_H
#define BARE_H

#include <stdint.h>

/* Sets the UART up. */
void bare_begin(void);

void bare_put(char c);
void bare_print(const char *text);
void bare_print_signed(int32_t value);

/* Ends the run; an emulator gives `code` (0..127) to who started it. On a board without an end it stops here. */
__attribute__((noreturn)) void bare_exit(int32_t code);

#endif
