/* LeNet-5 in fp32 as the paper's author writes it: every layer is described by a constant structure in flash, which the
 * inner loops read anew for each multiplication. Built at -O0, run at 352 MHz with QSPI0 as after reset. The weights are
 * made up by the test that builds this (weights.h); what they are changes little, where they lie is the point. */
#include "fe310.h"

typedef struct {
  uint32_t rows, columns, inputs, channels;
  float *values;
  float *bias;
} plane;

#include "weights.h"

static const plane conv1 = {5, 5, 1, 6, (float *)conv1_weights, (float *)conv1_bias};
static const plane conv2 = {5, 5, 6, 16, (float *)conv2_weights, (float *)conv2_bias};
static const plane full1 = {400, 120, 0, 0, (float *)full1_weights, (float *)full1_bias};
static const plane full2 = {120, 84, 0, 0, (float *)full2_weights, (float *)full2_bias};
static const plane full3 = {84, 10, 0, 0, (float *)full3_weights, (float *)full3_bias};

float positive(float value) { return value > 0 ? value : 0; }

/* Convolution, activation and maximum over step x step outputs in one; valid borders. */
void convolve(plane *in, const plane *kernel, plane *out, float (*activation)(float), uint32_t step) {
  uint32_t height = in->rows - kernel->rows + 1;
  uint32_t width = in->columns - kernel->columns + 1;
  out->rows = height / step;
  out->columns = width / step;
  for (uint32_t channel = 0; channel < out->channels; channel++) {
    for (uint32_t y = 0; y < height; y += step) {
      for (uint32_t x = 0; x < width; x += step) {
        float best = 0;
        for (uint32_t py = 0; py < step; py++) {
          for (uint32_t px = 0; px < step; px++) {
            float sum = 0;
            for (uint32_t ky = 0; ky < kernel->rows; ky++) {
              for (uint32_t kx = 0; kx < kernel->columns; kx++) {
                for (uint32_t input = 0; input < in->channels; input++) {
                  sum += in->values[input * in->rows * in->columns + (y + py + ky) * in->columns + (x + px + kx)] *
                         kernel->values[channel * kernel->inputs * kernel->rows * kernel->columns +
                                        input * kernel->rows * kernel->columns + ky * kernel->columns + kx];
                }
              }
            }
            if (kernel->bias) sum += kernel->bias[channel];
            if (activation) sum = activation(sum);
            if (sum > best) best = sum;
          }
        }
        out->values[channel * out->rows * out->columns + y / step * out->columns + x / step] = best;
      }
    }
  }
}

void multiply(plane *in, const plane *weights, plane *out, float (*activation)(float)) {
  out->rows = weights->columns;
  out->columns = 1;
  for (uint32_t o = 0; o < weights->columns; o++) {
    float sum = 0;
    for (uint32_t i = 0; i < weights->rows; i++) sum += in->values[i] * weights->values[o * weights->rows + i];
    if (weights->bias) sum += weights->bias[o];
    if (activation) sum = activation(sum);
    out->values[o] = sum;
  }
}

uint32_t largest(const plane *out) {
  uint32_t best = 0;
  for (uint32_t i = 0; i < out->rows; i++) {
    if (out->values[i] > out->values[best]) best = i;
  }
  return best;
}

int main(void) {
  float first[1024], second[1176];
  plane a = {32, 32, 0, 1, first, 0}, b = {0, 0, 0, 6, second, 0}, c = {0, 0, 0, 16, first, 0};
  plane d = {0, 0, 0, 0, second, 0}, e = {0, 0, 0, 0, first, 0}, f = {0, 0, 0, 0, second, 0};
  pll(43, 1); /* 16 MHz / 2 * 88 / 2 = 352 MHz */
  uart_init(352000000u);
  for (uint32_t i = 0; i < 1024; i++) first[i] = (float)picture[i];
  uint32_t begin = CSR_READ(mcycle);
  convolve(&a, &conv1, &b, positive, 2);
  convolve(&b, &conv2, &c, positive, 2);
  multiply(&c, &full1, &d, positive);
  multiply(&d, &full2, &e, positive);
  multiply(&e, &full3, &f, 0);
  uint32_t class = largest(&f);
  show("cycles", CSR_READ(mcycle) - begin);
  show("class", class);
  puts_("done\n");
  for (;;) {
  }
}
