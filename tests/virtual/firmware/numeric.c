/* A numeric loop for measuring the emulator: soft float, multiplications, byte loads and stores, in turns. */
#include "fe310.h"
static unsigned char bytes[4096];
static float a[64], b[64];

static __attribute__((noinline)) uint32_t mix(uint32_t n) {
  uint32_t s = 0;
  for (uint32_t i = 0; i < n; i++) {
    s += bytes[i & 4095] * (i + 3);
    bytes[(i * 7) & 4095] = (unsigned char)s;
    if (s & 16) s ^= i;
  }
  return s;
}

static __attribute__((noinline)) float dot(void) {
  float s = 0;
  for (int i = 0; i < 64; i++) s += a[i] * b[i];
  return s;
}

int main(void) {
  uart_init(RESET_HZ);
  for (int i = 0; i < 64; i++) {
    a[i] = (float)i * 0.5f;
    b[i] = 1.25f * (float)i;
  }
  uint32_t q = 0;
  for (uint32_t round = 0; round < ROUNDS; round++) {
    q += mix(2000);
    for (int k = 0; k < 20; k++) q += (uint32_t)dot();
  }
  show("q", q);
  puts_("done\n");
  for (;;) {
  }
}
