/*
 * UART0: 8 data bits, no parity, 1 stop bit, on GPIO 16 (RX) and 17 (TX); to a computer, the second port of the board's USB.
 * Sending only. The divisor follows the core clock by itself (fe310_clock_set).
 */
#ifndef FE310_UART_H
#define FE310_UART_H

#include <stdint.h>

/* The div register for a baud rate: f = core / (div + 1), rounded to the nearest. */
uint32_t fe310_uart_divisor(uint32_t core_hz, uint32_t baud);

/* Takes the pins, waits until what an earlier program left in the FIFO is gone, and sets the rate. */
int fe310_uart_init(uint32_t baud);

/* Sends a byte as it is. Drops it, and says so, if the FIFO stays full for 20 ms. */
int fe310_uart_write(uint8_t byte);

/* Waits until the last character has left the pin. There is no flag for it: FIFO empty, and one character's time. */
int fe310_uart_drain(void);

/* Sets the divisor anew after a change of the core clock. */
void fe310_uart_retune(void);

#endif
