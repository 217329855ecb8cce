/*
 * GPIO pins by number (0..31). A pin's mode says all of it: what an earlier program left set on the pin (special function,
 * output, inversion, pull-up) is undone.
 */
#ifndef FE310_GPIO_H
#define FE310_GPIO_H

#include <stdint.h>

/* Gives the pin to its device (IOF0: UART0, SPI1). */
void fe310_gpio_function(uint32_t pin);

/* Drives the pin to level 0 or 1. */
void fe310_gpio_drive(uint32_t pin, uint32_t level);

/* Makes the pin open drain: it pulls to 0, or lets go and reads back. Starts let go, with the weak pull-up on. */
void fe310_gpio_open_drain(uint32_t pin);

/* An open-drain pin: pulls it to 0, or lets it go (level 1). */
void fe310_gpio_pull(uint32_t pin, uint32_t level);

/* The level on the pin: 0 or 1. */
uint32_t fe310_gpio_value(uint32_t pin);

#endif
