/* SCCB by hand on GPIO 12 (SDA) and 13 (SCL), SPI1 with a chip select of the test's choice, and the ArduChip. */
#ifndef CAMERA_H
#define CAMERA_H
#include "fe310.h"

#define SDA (1u << 12)
#define SCL (1u << 13)

static inline void half_bit(void) {
  for (volatile int i = 0; i < 8; i++) {
  }
}
static inline void let_go(uint32_t line) { GPIO(OUTPUT_EN) &= ~line; half_bit(); }
static inline void pull(uint32_t line) { GPIO(OUTPUT_EN) |= line; half_bit(); }
static inline int sda(void) { return (GPIO(0) & SDA) != 0; }

static void sccb_init(void) {
  GPIO(PORT) &= ~(SDA | SCL);
  GPIO(OUTPUT_EN) &= ~(SDA | SCL);
  GPIO(PUE) |= SDA | SCL;
  GPIO(INPUT_EN) |= SDA | SCL;
}
static void sccb_start(void) { let_go(SDA); let_go(SCL); pull(SDA); pull(SCL); }
static void sccb_stop(void) { pull(SDA); let_go(SCL); let_go(SDA); }
static int sccb_put(uint8_t byte) { /* 1: acknowledged */
  for (int i = 7; i >= 0; i--) {
    if (byte >> i & 1) let_go(SDA); else pull(SDA);
    let_go(SCL);
    pull(SCL);
  }
  let_go(SDA);
  let_go(SCL);
  int ack = !sda();
  pull(SCL);
  return ack;
}
static uint8_t sccb_get(int more) {
  uint8_t byte = 0;
  let_go(SDA);
  for (int i = 0; i < 8; i++) {
    let_go(SCL);
    byte = (uint8_t)(byte << 1 | sda());
    pull(SCL);
  }
  if (more) pull(SDA);
  let_go(SCL);
  pull(SCL);
  let_go(SDA);
  return byte;
}
static int sensor_write(uint8_t reg, uint8_t value) {
  sccb_start();
  int ok = sccb_put(0x60) && sccb_put(reg) && sccb_put(value);
  sccb_stop();
  return ok;
}
static int sensor_read(uint8_t reg, int repeated_start) { /* -1: no acknowledge */
  sccb_start();
  int ok = sccb_put(0x60) && sccb_put(reg);
  if (!repeated_start) sccb_stop();
  sccb_start();
  ok = ok && sccb_put(0x61);
  int value = ok ? sccb_get(0) : -1;
  sccb_stop();
  return value;
}

enum { SELECT_HOLD = 0, SELECT_CSDEF = 1, SELECT_GPIO = 2, SELECT_AUTO = 3 };
static int select_by;

static void spi_init(uint32_t sckdiv, int by) {
  select_by = by;
  uint32_t pins = 7u << 3;
  if (by != SELECT_GPIO) pins |= 1u << 2;
  GPIO(IOF_SEL) &= ~pins;
  GPIO(IOF_EN) |= pins;
  GPIO(PORT) |= 1u << 2;
  if (by == SELECT_GPIO) GPIO(OUTPUT_EN) |= 1u << 2;
  SPI1(SCKDIV) = sckdiv;
  SPI1(FMT) = 0x80000;
  if (by == SELECT_CSDEF) SPI1(CSID) = 1; /* frames flip another pin; this one moves with csdef alone */
  SPI1(CSMODE) = by == SELECT_GPIO ? 3 : 0;
}
static void spi_select(void) {
  if (select_by == SELECT_HOLD) SPI1(CSMODE) = 2;
  if (select_by == SELECT_CSDEF) SPI1(CSDEF) &= ~1u;
  if (select_by == SELECT_GPIO) GPIO(PORT) &= ~(1u << 2);
}
static void spi_release(void) {
  if (select_by == SELECT_HOLD) SPI1(CSMODE) = 0;
  if (select_by == SELECT_CSDEF) SPI1(CSDEF) |= 1u;
  if (select_by == SELECT_GPIO) GPIO(PORT) |= 1u << 2;
}
static uint8_t spi_byte(uint8_t out) {
  SPI1(SPI_TX) = out;
  uint32_t in;
  while ((in = SPI1(SPI_RX)) >> 31) {
  }
  return (uint8_t)in;
}
static uint8_t chip(uint8_t reg, uint8_t value) {
  spi_select();
  spi_byte(reg);
  value = spi_byte(value);
  spi_release();
  return value;
}
static uint32_t fifo_length(void) {
  return chip(0x42, 0) | (uint32_t)chip(0x43, 0) << 8 | (uint32_t)chip(0x44, 0) << 16;
}
static void capture(void) {
  chip(0x84, 1);
  chip(0x84, 2);
  while (!(chip(0x41, 0) & 8)) wait_ticks(33); /* 1 ms */
}
#endif
