/*
 * Core clock. The program starts on HFROSC, the internal oscillator; fe310_clock_set() moves it to the PLL behind the
 * 16 MHz crystal: f = 16 MHz / R x F / Q.
 */
#ifndef FE310_CLOCK_H
#define FE310_CLOCK_H

#include <stdint.h>

#define FE310_CRYSTAL_HZ 16000000u
#define FE310_HFROSC_HZ 14400000u /* 72 MHz / 5; the part may be some per cent off */

/* What the PLL's fields hold: r = R - 1, f = F / 2 - 1, q = log2 Q; bypass: the crystal itself. */
struct fe310_pll {
    uint32_t r;
    uint32_t f;
    uint32_t q;
    uint32_t bypass;
    uint32_t core_hz; /* what they make */
};

/*
 * Finds the fastest clock that is not above core_hz, within the PLL's limits: input 6..12 MHz behind R, oscillator
 * 384..768 MHz, output 48..384 MHz. 16 MHz itself is the crystal without the PLL.
 * FE310_ERROR_PLL_RANGE: core_hz is under 48 MHz (and not 16 MHz) or over 384 MHz.
 */
int fe310_pll_find(uint32_t core_hz, struct fe310_pll *pll);

/*
 * Moves the core to the clock that fe310_pll_find() names. Waits first until the UART has sent its last character, and
 * gives the UART its new divisor after. SPI1 keeps its divider: call fe310_spi1_init() again.
 * Then it compares the clock with mtime. FE310_ERROR_CRYSTAL_OFF: they differ by 2 to 25 %; the core runs on what the
 * crystal makes of it, and fe310_core_hz() is what was measured, so that UART and SPI1 keep their speeds.
 * On any other error the core runs on HFROSC, and all is usable at that speed.
 */
int fe310_clock_set(uint32_t core_hz);

/* The real core clock in Hz, as it is now. */
uint32_t fe310_core_hz(void);

#endif
