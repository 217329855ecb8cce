/*
 * Time. Microseconds are counted loops scaled from the core clock: a wait is never shorter than asked for, but may be
 * longer (flash fetches). Milliseconds and measurements come from mtime, 32,768 ticks a second whatever the core does.
 */
#ifndef FE310_TIMER_H
#define FE310_TIMER_H

#include <stdint.h>

#define FE310_RTC_HZ 32768u

/* FE310_ERROR_RTC if mtime does not move within 2 ms. Sleeps and timeouts are then counted. Call it first of all. */
int fe310_timer_init(void);

/* mtime, its low 32 bits: differences are right over 18 hours. */
uint32_t fe310_ticks(void);

/* The core clock as mtime sees it, to about 1 %: it counts cycles for 2 ms. 0 if mtime does not count. */
uint32_t fe310_measure_core_hz(void);

/* Tenths of a millisecond in a number of ticks, rounded. */
uint32_t fe310_ticks_to_tenths(uint32_t ticks);

/* Sleeps at least so long; by mtime. milliseconds < 100,000 */
void fe310_sleep_ms(uint32_t milliseconds);

/* At least so many core cycles. */
void fe310_delay_cycles(uint32_t cycles);

/* At least so many microseconds, up to 5,000,000. */
void fe310_delay_us(uint32_t microseconds);

/*
 * A limit for a loop that polls a register:
 *     struct fe310_timeout limit = fe310_timeout_in(1000u);
 *     while (!ready()) { if (fe310_timeout_over(&limit)) { return ...; } }
 * It is over after at least so many microseconds, by mtime, or by the number of polls if mtime does not count. Up to
 * 1,000,000 us. A round changes nothing but what it reads, so a simulator may skip rounds.
 */
struct fe310_timeout {
    uint32_t start;
    uint32_t ticks;
    uint32_t polls;
};

struct fe310_timeout fe310_timeout_in(uint32_t microseconds);
int fe310_timeout_over(struct fe310_timeout *timeout);

#endif
