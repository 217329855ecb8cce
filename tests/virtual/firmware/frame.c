/* Sets the sensor up from TABLE (bank select and registers in order), then prints FRAMES frames: length, sum, pixels. */
#include "camera.h"
static const uint8_t table[][2] = {TABLE};

static void read_frame(uint32_t length) {
  uint32_t sum = 0;
  spi_select();
  spi_byte(0x3C);
  if (!PLUS) spi_byte(0);
  for (uint32_t i = 0; i < length; i++) {
    uint32_t v = spi_byte(0);
    sum = sum * 31 + v;
    if (PIXELS) {
      put("0123456789abcdef"[v >> 4]);
      put("0123456789abcdef"[v & 15]);
    }
  }
  spi_release();
  if (PIXELS) put('\n');
  show("sum", sum);
}

int main(void) {
  pll(31, 1); /* 16 / 2 * 64 / 2 = 256 MHz */
  uart_init(256000000u);
  sccb_init();
  sensor_write(0xFF, 1);
  sensor_write(0x12, 0x80);
  wait_ticks(3277);
  for (uint32_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (!sensor_write(table[i][0], table[i][1])) puts_("no ack\n");
  spi_init(31, SELECT); /* 4 MHz */
  show("version", chip(0x40, 0));
  for (int i = 0; i < DROP; i++) capture();
  for (int i = 0; i < FRAMES; i++) {
    capture();
    uint32_t length = fifo_length();
    show("length", length);
    read_frame(length);
  }
  puts_("done\n");
  for (;;) {
  }
}
