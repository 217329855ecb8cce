#include "fe310_clock.h"

#include "fe310.h"

#define MHZ 1000000u
#define OSCILLATOR_TIMEOUT_US 20000u /* a crystal needs a few milliseconds */
#define LOCK_SETTLE_US 100u          /* the lock bit means nothing before (FE310-G000 manual, PRCI) */
#define LOCK_TIMEOUT_US 10000u
#define CRYSTAL_TOLERANCE 50u /* 1 / 50 = 2 %: a UART is in danger from there on */
#define CRYSTAL_INCREDIBLE 4u /* 1 / 4 = 25 % */

static uint32_t core_hz_now = FE310_HFROSC_HZ;

uint32_t fe310_core_hz(void)
{
    return core_hz_now;
}

int fe310_pll_find(uint32_t core_hz, struct fe310_pll *pll)
{
    uint32_t r;
    uint32_t f;
    uint32_t q;

    pll->core_hz = 0u;
    pll->bypass = 0u;
    if (core_hz == FE310_CRYSTAL_HZ) {
        pll->r = 0u;
        pll->f = 0u;
        pll->q = 1u;
        pll->bypass = 1u;
        pll->core_hz = FE310_CRYSTAL_HZ;
        return FE310_OK;
    }
    if (core_hz < 48u * MHZ || core_hz > 384u * MHZ) {
        return FE310_ERROR_PLL_RANGE;
    }
    /* R = 2 is the only divider that brings 16 MHz into 6..12 MHz. */
    r = 1u;
    for (q = 1u; q <= 3u; ++q) {
        for (f = 0u; f < 64u; ++f) {
            uint32_t vco_hz = FE310_CRYSTAL_HZ / (r + 1u) * 2u * (f + 1u);
            uint32_t hz = vco_hz >> q;

            if (vco_hz >= 384u * MHZ && vco_hz <= 768u * MHZ && hz <= core_hz && hz > pll->core_hz) {
                pll->r = r;
                pll->f = f;
                pll->q = q;
                pll->core_hz = hz;
            }
        }
    }
    return pll->core_hz != 0u ? FE310_OK : FE310_ERROR_PLL_RANGE;
}

/* Waits until all bits are set; at least timeout_us microseconds. */
static int wait_for(uint32_t address, uint32_t bits, uint32_t timeout_us)
{
    struct fe310_timeout timeout = fe310_timeout_in(timeout_us);

    while ((fe310_read(address) & bits) != bits) {
        if (fe310_timeout_over(&timeout)) {
            return 0;
        }
    }
    return 1;
}

static int run_on_hfrosc(void)
{
    fe310_write(PRCI_HFROSCCFG, HFROSC_DIV(5) | HFROSC_TRIM(16) | HFROSC_EN);
    if (!wait_for(PRCI_HFROSCCFG, HFROSC_RDY, OSCILLATOR_TIMEOUT_US)) {
        return FE310_ERROR_OSCILLATOR;
    }
    fe310_clear_bits(PRCI_PLLCFG, PLL_SEL);
    core_hz_now = FE310_HFROSC_HZ;
    return FE310_OK;
}

static int start_pll(const struct fe310_pll *pll)
{
    uint32_t config = PLL_REFSEL | PLL_R(pll->r) | PLL_F(pll->f) | PLL_Q(pll->q);

    fe310_set_bits(PRCI_HFXOSCCFG, HFXOSC_EN);
    if (!wait_for(PRCI_HFXOSCCFG, HFXOSC_RDY, OSCILLATOR_TIMEOUT_US)) {
        return FE310_ERROR_CRYSTAL;
    }
    /* Fields change only while the PLL is bypassed; it starts when bypass falls. The core takes its output after lock. */
    fe310_write(PRCI_PLLCFG, config | PLL_BYPASS);
    fe310_write(PRCI_PLLOUTDIV, PLLOUT_DIV_BY_1);
    if (!pll->bypass) {
        fe310_write(PRCI_PLLCFG, config);
        fe310_delay_us(LOCK_SETTLE_US);
        if (!wait_for(PRCI_PLLCFG, PLL_LOCK, LOCK_TIMEOUT_US)) {
            fe310_write(PRCI_PLLCFG, config | PLL_BYPASS);
            return FE310_ERROR_PLL_LOCK;
        }
    }
    fe310_set_bits(PRCI_PLLCFG, PLL_SEL);
    core_hz_now = pll->core_hz;
    return FE310_OK;
}

/*
 * A crystal of another frequency makes the UART's characters wrong, and nothing else tells. mtime has a crystal of its own.
 * When they are far apart it is mtime that does not run at 32,768 Hz (an emulator's, say): no crystal errs so.
 */
static int check_crystal(void)
{
    uint32_t measured_hz = fe310_measure_core_hz();
    uint32_t error_hz = measured_hz > core_hz_now ? measured_hz - core_hz_now : core_hz_now - measured_hz;

    if (error_hz < core_hz_now / CRYSTAL_TOLERANCE || error_hz > core_hz_now / CRYSTAL_INCREDIBLE) {
        return FE310_OK;
    }
    core_hz_now = measured_hz;
    return FE310_ERROR_CRYSTAL_OFF;
}

int fe310_clock_set(uint32_t core_hz)
{
    struct fe310_pll pll;
    int status = fe310_pll_find(core_hz, &pll);

    if (status != FE310_OK) {
        return status;
    }
    /* A UART that is stuck must not keep the core slow: its own calls report it. */
    (void)fe310_uart_drain();
    status = run_on_hfrosc();
    if (status == FE310_OK) {
        status = start_pll(&pll);
    }
    if (status == FE310_OK) {
        status = check_crystal();
    }
    fe310_uart_retune();
    return status;
}
