/*
 * fe310: everything a bare program needs of a SiFive FE310: start-up, traps, clocks, flash, UART, GPIO, SPI1, time, text.
 *
 * Start-up (fe310_start.S) needs no call: it runs before main() and ends there, with the core on the internal
 * oscillator (about 14.4 MHz), interrupts and watchdog off, .data and .bss in place. A board need not be in reset for it:
 * after an upload the clocks, UART, QSPI0 and watchdog are as the last program left them. If main() returns, the board
 * stops with a line of text.
 *
 * A trap (illegal instruction, access to an address the chip does not have, stack overflow) prints one line
 *     error: trap: load access fault, pc 0x20400123, address 0x00000000
 * and stops. Nothing here uses interrupts.
 *
 * Register names are those of the FE310-G000 manual. No C library is used or needed: memcpy, memmove, memset and memcmp,
 * which a compiler may call on its own, are in fe310_memory.c.
 *
 * Every function that can fail returns 0, or one of the negative codes below; fe310_error_text() says it in English.
 */
#ifndef FE310_H
#define FE310_H

#include "fe310_clock.h"
#include "fe310_flash.h"
#include "fe310_gpio.h"
#include "fe310_regs.h"
#include "fe310_spi.h"
#include "fe310_stack.h"
#include "fe310_text.h"
#include "fe310_timer.h"
#include "fe310_uart.h"

#define FE310_OK 0
#define FE310_ERROR_PLL_RANGE (-1) /* the PLL cannot make a core clock near the one asked for */
#define FE310_ERROR_CRYSTAL (-2)   /* the 16 MHz crystal oscillator does not start */
#define FE310_ERROR_PLL_LOCK (-3)  /* the PLL does not lock */
#define FE310_ERROR_UART (-4)      /* the UART does not send its characters */
#define FE310_ERROR_SPI (-5)       /* SPI1 does not shift: no byte came back in time */
#define FE310_ERROR_SPI_PIN (-6)   /* the pin is no chip select of SPI1 (GPIO 2, 9 and 10 are) */
#define FE310_ERROR_RTC (-7)       /* mtime does not count: the 32,768 Hz clock does not run */
#define FE310_ERROR_CRYSTAL_OFF (-9) /* the core clock is more than 2 % off: the crystal is not one of 16 MHz */
#define FE310_ERROR_OSCILLATOR (-8) /* the internal oscillator does not get ready */
#define FE310_ERROR_FLASH (-10) /* the flash does not answer with the settings that were tried */

/* One line of English for a code of this library; NULL for any other number. */
const char *fe310_error_text(int code);

/* Prints "error: " and the text, and stops the board for good. */
void fe310_stop(const char *text);

#endif
