#include "fe310.h"
static uint32_t in_data = 0x1234abcd;
static uint32_t in_bss;
int main(void) {
  uart_init(RESET_HZ);
  puts_("hello\n");
  show("data", in_data);
  show("bss", in_bss);
  puts_("done\n");
  for (;;) {
  }
}
