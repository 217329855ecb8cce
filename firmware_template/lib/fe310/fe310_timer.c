#include "fe310_timer.h"

#include "fe310.h"

#define SPIN_CYCLES 2u /* addi, bnez: one cycle each at the least */
#define POLL_CYCLES 4u /* a load from a device, a test, a count, a branch: at the least */
#define RTC_CHECK_US 2000u
#define MEASURE_TICKS 64u

static int rtc_stands; /* set if mtime was found not to count */

static uint32_t cycles_of(uint32_t microseconds)
{
    return microseconds * ((fe310_core_hz() + 999999u) / 1000000u);
}

void fe310_delay_cycles(uint32_t cycles)
{
    if (cycles > 0u) {
        fe310_spin((cycles + SPIN_CYCLES - 1u) / SPIN_CYCLES);
    }
}

void fe310_delay_us(uint32_t microseconds)
{
    fe310_delay_cycles(cycles_of(microseconds));
}

struct fe310_timeout fe310_timeout_in(uint32_t microseconds)
{
    struct fe310_timeout timeout;

    timeout.start = fe310_ticks();
    /* 1 / 30 us is a little more than the rate of mtime; one tick more, for the first may be almost over. */
    timeout.ticks = microseconds / 30u + 2u;
    timeout.polls = cycles_of(microseconds) / POLL_CYCLES + 1u;
    return timeout;
}

int fe310_timeout_over(struct fe310_timeout *timeout)
{
    if (rtc_stands) {
        if (timeout->polls > 0u) {
            --timeout->polls;
        }
        return timeout->polls == 0u;
    }
    return fe310_ticks() - timeout->start >= timeout->ticks;
}

uint32_t fe310_ticks(void)
{
    return fe310_read(CLINT_MTIME);
}

/* Core cycles of so many ticks of mtime, from one tick's beginning on. */
static uint32_t cycles_of_ticks(uint32_t ticks)
{
    uint32_t start = fe310_ticks();
    uint32_t tick = start;
    uint32_t cycles;

    while (tick == start) {
        tick = fe310_ticks();
    }
    cycles = fe310_cycles();
    while (fe310_ticks() - tick < ticks) {
    }
    return fe310_cycles() - cycles;
}

uint32_t fe310_measure_core_hz(void)
{
    if (rtc_stands) {
        return 0u;
    }
    /* Once in vain, so that all of it lies in the I-cache: at 16 MHz a line from flash takes five ticks. */
    (void)cycles_of_ticks(1u);
    return cycles_of_ticks(MEASURE_TICKS) * (FE310_RTC_HZ / MEASURE_TICKS);
}

uint32_t fe310_ticks_to_tenths(uint32_t ticks)
{
    return (uint32_t)(((uint64_t)ticks * 10000u + FE310_RTC_HZ / 2u) / FE310_RTC_HZ);
}

int fe310_timer_init(void)
{
    uint32_t start = fe310_ticks();
    uint32_t waited_us;

    rtc_stands = 0;
    for (waited_us = 0u; waited_us < RTC_CHECK_US; ++waited_us) {
        if (fe310_ticks() != start) {
            return FE310_OK;
        }
        fe310_delay_us(1u);
    }
    rtc_stands = 1;
    return FE310_ERROR_RTC;
}

void fe310_sleep_ms(uint32_t milliseconds)
{
    uint32_t start = fe310_ticks();
    /* One tick more: the first may be almost over. 4096 / 125 = 32.768, without a 64-bit division. */
    uint32_t ticks = (milliseconds * 4096u + 124u) / 125u + 1u;

    if (rtc_stands) {
        for (; milliseconds > 0u; --milliseconds) {
            fe310_delay_us(1000u);
        }
        return;
    }
    while (fe310_ticks() - start < ticks) {
    }
}
