/* Something to debug: calls, a loop, variables of several kinds, and on request a fault. */
#include "fe310.h"
volatile uint32_t total;
uint32_t limit = 5;
volatile uint8_t bytes[4];
struct point {
  int x, y;
} place = {3, -4};

__attribute__((noinline)) uint32_t square(uint32_t n) {
  uint32_t r = n * n;
  return r;
}

__attribute__((noinline)) void accumulate(uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    total += square(i);
    bytes[i & 3] = (uint8_t)i;
  }
}

__attribute__((noinline)) void finished(void) {
  puts_("done\n");
}

__attribute__((noinline)) void broken(void) {
  REG(0x40000000) = 1;
}

int main(void) {
  uart_init(RESET_HZ);
  accumulate(limit);
  show("total", total);
  finished();
  if (limit == 9) broken();
  for (;;) {
  }
}
