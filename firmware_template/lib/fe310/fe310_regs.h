/*
 * FE310 registers as the FE310-G000 manual v2 names them (chapter 4 and the chapters of each device), and the one way by
 * which the drivers touch them: fe310_read() and fe310_write(). A build with FE310_HOST defined leaves these two, and the
 * busy loop, to somebody else: the drivers' tests run against simulated devices.
 */
#ifndef FE310_REGS_H
#define FE310_REGS_H

#include <stdint.h>

#ifdef FE310_HOST
uint32_t fe310_read(uint32_t address);
void fe310_write(uint32_t address, uint32_t value);
void fe310_spin(uint32_t rounds);
uint32_t fe310_cycles(void);
#else
static inline uint32_t fe310_read(uint32_t address)
{
    return *(volatile uint32_t *)(uintptr_t)address;
}

static inline void fe310_write(uint32_t address, uint32_t value)
{
    *(volatile uint32_t *)(uintptr_t)address = value;
}

/* Two instructions a round; each takes at least one core cycle. rounds > 0. */
static inline void fe310_spin(uint32_t rounds)
{
    __asm__ volatile("1: addi %0, %0, -1\n\tbnez %0, 1b" : "+r"(rounds));
}

/* Core cycles, the low 32 bits: csrr of mcycle, which old and new assemblers take without further options. */
static inline uint32_t fe310_cycles(void)
{
    uint32_t cycles;

    __asm__ volatile(".insn i 0x73, 2, %0, x0, -1280" : "=r"(cycles));
    return cycles;
}
#endif

static inline void fe310_set_bits(uint32_t address, uint32_t bits)
{
    fe310_write(address, fe310_read(address) | bits);
}

static inline void fe310_clear_bits(uint32_t address, uint32_t bits)
{
    fe310_write(address, fe310_read(address) & ~bits);
}

/* CLINT: time since power on, at 32,768 Hz */
#define CLINT_MTIME 0x0200BFF8u

/* PRCI: clocks */
#define PRCI_HFROSCCFG 0x10008000u
#define PRCI_HFXOSCCFG 0x10008004u
#define PRCI_PLLCFG 0x10008008u
#define PRCI_PLLOUTDIV 0x1000800Cu

#define HFROSC_DIV(divide_by) ((uint32_t)(divide_by) - 1u)
#define HFROSC_TRIM(trim) ((uint32_t)(trim) << 16)
#define HFROSC_EN (1u << 30)
#define HFROSC_RDY (1u << 31)
#define HFXOSC_EN (1u << 30)
#define HFXOSC_RDY (1u << 31)
#define PLL_R(r) ((uint32_t)(r) << 0)
#define PLL_F(f) ((uint32_t)(f) << 4)
#define PLL_Q(q) ((uint32_t)(q) << 10)
#define PLL_SEL (1u << 16)    /* core clock: 0 HFROSC, 1 PLL */
#define PLL_REFSEL (1u << 17) /* PLL input: 0 HFROSC, 1 HFXOSC */
#define PLL_BYPASS (1u << 18) /* PLL output is its input */
#define PLL_LOCK (1u << 31)
#define PLLOUT_DIV_BY_1 (1u << 8)

/* GPIO: a bit a pin */
#define GPIO_VALUE 0x10012000u
#define GPIO_INPUT_EN 0x10012004u
#define GPIO_OUTPUT_EN 0x10012008u
#define GPIO_PORT 0x1001200Cu
#define GPIO_PUE 0x10012010u
#define GPIO_IOF_EN 0x10012038u
#define GPIO_IOF_SEL 0x1001203Cu
#define GPIO_OUT_XOR 0x10012040u

/* UART0 */
#define UART0_TXDATA 0x10013000u
#define UART0_RXDATA 0x10013004u
#define UART0_TXCTRL 0x10013008u
#define UART0_RXCTRL 0x1001300Cu
#define UART0_IE 0x10013010u
#define UART0_IP 0x10013014u
#define UART0_DIV 0x10013018u

#define UART_TXDATA_FULL (1u << 31)
#define UART_TXEN (1u << 0)
#define UART_TXCNT(mark) ((uint32_t)(mark) << 16)
#define UART_RXEN (1u << 0)
#define UART_IP_TXWM (1u << 0) /* fewer characters wait than txcnt */

/* SPI1 (QSPI0, which feeds the core from flash, is touched by fe310_start.S alone) */
#define SPI1_SCKDIV 0x10024000u
#define SPI1_SCKMODE 0x10024004u
#define SPI1_CSID 0x10024010u
#define SPI1_CSDEF 0x10024014u
#define SPI1_CSMODE 0x10024018u
#define SPI1_FMT 0x10024040u
#define SPI1_TXDATA 0x10024048u
#define SPI1_RXDATA 0x1002404Cu
#define SPI1_FCTRL 0x10024060u
#define SPI1_IE 0x10024070u

#define SPI_CSMODE_AUTO 0u
#define SPI_CSMODE_HOLD 2u
#define SPI_FMT_LEN(bits) ((uint32_t)(bits) << 16)
#define SPI_TXDATA_FULL (1u << 31)
#define SPI_RXDATA_EMPTY (1u << 31)

#endif
