/* Registers of the FE310-G000 as its manual gives them, and a few helpers for test firmware. */
#ifndef FE310_H
#define FE310_H
#include <stdint.h>

#define REG(a) (*(volatile uint32_t *)(a))
#define GPIO(o) REG(0x10012000u + (o))
#define UART0(o) REG(0x10013000u + (o))
#define QSPI0(o) REG(0x10014000u + (o))
#define SPI1(o) REG(0x10024000u + (o))
#define PRCI(o) REG(0x10008000u + (o))
#define AON(o) REG(0x10000000u + (o))
#define CLINT(o) REG(0x02000000u + (o))
#define MTIME CLINT(0xBFF8)

enum { INPUT_EN = 4, OUTPUT_EN = 8, PORT = 0xC, PUE = 0x10, IOF_EN = 0x38, IOF_SEL = 0x3C, OUT_XOR = 0x40 };
enum { TXDATA = 0, RXDATA = 4, TXCTRL = 8, RXCTRL = 0xC, DIV = 0x18 };
enum { SCKDIV = 0, SCKMODE = 4, CSID = 0x10, CSDEF = 0x14, CSMODE = 0x18, FMT = 0x40, SPI_TX = 0x48, SPI_RX = 0x4C };

#define CSR_READ(name) ({ uint32_t v_; __asm__ volatile("csrr %0, " #name : "=r"(v_)); v_; })
#define CSR_WRITE(name, v) __asm__ volatile("csrw " #name ", %0" ::"r"(v))
#define CSR_SET(name, v) __asm__ volatile("csrs " #name ", %0" ::"r"(v))

/* 115,200 baud; the core is on the ring oscillator after reset: 72 MHz / 5. */
#define RESET_HZ 14400000u
static inline void uart_init(uint32_t hz) {
  GPIO(IOF_SEL) &= ~(3u << 16);
  GPIO(IOF_EN) |= 3u << 16;
  UART0(DIV) = hz / 115200u - 1u;
  UART0(TXCTRL) = 1;
  UART0(RXCTRL) = 1;
}
static inline void put(char c) {
  while (UART0(TXDATA) >> 31) {
  }
  UART0(TXDATA) = (uint8_t)c;
}
static inline void puts_(const char *s) {
  while (*s) put(*s++);
}
static inline void hex(uint32_t v) {
  for (int i = 28; i >= 0; i -= 4) put("0123456789abcdef"[v >> i & 15]);
}
static inline void show(const char *name, uint32_t v) {
  puts_(name);
  put('=');
  hex(v);
  put('\n');
}
static inline void wait_ticks(uint32_t n) {
  uint32_t start = MTIME;
  while (MTIME - start < n) {
  }
}
/* 16 MHz crystal / 2 * 2(f+1) / 2^q with f, q as register values; waits for the lock. */
static inline void pll(uint32_t f, uint32_t q) {
  PRCI(8) = 1u << 18 | 1u << 17 | q << 10 | f << 4 | 1u;
  PRCI(8) &= ~(1u << 18);
  while (!(PRCI(8) >> 31)) {
  }
  PRCI(8) |= 1u << 16;
}
#endif
