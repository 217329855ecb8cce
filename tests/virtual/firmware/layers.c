/* A program in the shape of generated code: model "tiny" with a layer of its own and one that is inlined. */
#include "fe310.h"
#define READ(a) (*(const volatile uint32_t *)(a))

static const uint32_t table[64] = {1, 2, 3};
volatile float result = 1.5f;
static float memory[4];

__attribute__((noinline)) void tiny_conv(float *x) {
  for (int i = 0; i < 50; i++) x[0] = x[0] * 1.01f;
  for (int i = 0; i < 64; i++) (void)READ(&table[i]);
}

static inline __attribute__((always_inline)) void tiny_fc(float *x) {
  for (int i = 0; i < 20; i++) x[1] = x[0] / (x[1] + 3.0f);
}

__attribute__((noinline)) float *tiny_input(void) {
  return memory;
}

__attribute__((noinline)) void tiny_run(float *x) {
  tiny_conv(x);
  tiny_fc(x);
}

__attribute__((noinline)) void deep(void) {
  volatile uint8_t room[1000];
  for (unsigned i = 0; i < sizeof room; i++) room[i] = (uint8_t)i;
}

int main(void) {
  uart_init(RESET_HZ);
  deep();
  for (int i = 0; i < 3; i++) {
    tiny_input()[0] = result;
    tiny_run(memory);
    result = memory[1] - (float)i; /* soft float outside of the model */
  }
  puts_("done\n");
  for (;;) {
  }
}
