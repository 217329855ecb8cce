/*
 * SPI1: master, MSB first, mode 0 (CPOL 0, CPHA 0), 8 bits, one line each way; SCK GPIO 5, MOSI 3, MISO 4, and a chip
 * select of GPIO 2, 9 or 10. Chip select is held over as many bytes as the caller likes: select, transfer ..., release.
 */
#ifndef FE310_SPI_H
#define FE310_SPI_H

#include <stdint.h>

/* The sckdiv register for the fastest SCK that is not above sck_hz: SCK = core / (2 (div + 1)). */
uint32_t fe310_spi_divider(uint32_t core_hz, uint32_t sck_hz);

/* Takes the pins and sets the clock from the core clock of now. FE310_ERROR_SPI_PIN: cs_pin is no chip select. */
int fe310_spi1_init(uint32_t cs_pin, uint32_t sck_hz);

/* Holds chip select low from the next byte on (csmode HOLD). */
void fe310_spi1_select(void);

/* Lets chip select go up (csmode AUTO). */
void fe310_spi1_release(void);

/* Sends a byte; returns the byte that came back (0..255), or FE310_ERROR_SPI. */
int fe310_spi1_transfer(uint8_t byte);

#endif
