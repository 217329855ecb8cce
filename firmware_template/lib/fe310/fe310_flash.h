/*
 * How the flash is read while the program runs from it: QSPI0's format and clock, changed by code in RAM and checked.
 *
 * Start-up leaves the settings that the FE310 has after reset: command 0x03, one line, SCK = core / 8. Dual I/O (0xBB)
 * sends address and data over two lines. Its mode bits, ffmt.pad_code, must be 0x00: with 0xA_ the flash stays in
 * continuous read when the FE310 is reset, and the next start from flash fails until the supply is cut.
 */
#ifndef FE310_FLASH_H
#define FE310_FLASH_H

#include <stdint.h>

/*
 * Sets QSPI0.sckdiv and QSPI0.ffmt (FE310-G000 manual, chapter 19), and reads 256 known bytes forwards, as one read, and
 * backwards, each with an address of its own. SCK is core / (2 (sckdiv + 1)); set the core clock first.
 *
 * Returns FE310_OK, or FE310_ERROR_FLASH: a byte was wrong, and the settings are as before the call. Takes 160 bytes of
 * stack, where the code lies meanwhile, and well below a millisecond.
 */
int fe310_flash_set(uint32_t ffmt, uint32_t sckdiv);

#endif
