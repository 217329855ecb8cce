/*
 * SCCB, the camera's two-wire bus, bit by bit on two GPIO pins: at most 100 kHz, open drain. A pin pulls its line to 0 or
 * lets it go (port bit 0, output_en toggles); the pull-up makes the 1, and every 1 is read back.
 *
 * A device may stretch the clock for up to 1 ms. A device that was cut off in the middle of a byte may hold SDA at 0:
 * nine clocks and a stop free it, and sccb_init() sends them when it finds the bus so.
 */
#ifndef SCCB_H
#define SCCB_H

#include <stdint.h>

#define SCCB_OK 0
#define SCCB_ERROR_NO_ACK (-11)  /* nobody acknowledges: sensor absent, not powered, or in reset */
#define SCCB_ERROR_SCL_LOW (-12) /* SCL stays at 0: no pull-up, short circuit, or a device that stretches for ever */
#define SCCB_ERROR_SDA_LOW (-13) /* SDA stays at 0, even after nine clocks and a stop */

struct sccb_bus {
    uint32_t sda_pin;
    uint32_t scl_pin;
};

/* Takes the pins and sees that the bus is free; frees it if it is not. */
int sccb_init(const struct sccb_bus *bus);

/* Writes a register. address: 7 bits. */
int sccb_write(const struct sccb_bus *bus, uint8_t address, uint8_t reg, uint8_t value);

/* Reads a register: returns its value (0..255) or a negative code. */
int sccb_read(const struct sccb_bus *bus, uint8_t address, uint8_t reg);

/* One line of English for a code of this library; NULL for any other number. */
const char *sccb_error_text(int code);

#endif
