/*
 * A model with the API of generated code, small enough to check by hand: output i is the mean of columns 3i .. 3i + 2 of
 * the 32 x 32 picture, 0..1, as the camera gives it.
 */
#ifndef TINY_H
#define TINY_H

#include <stdint.h>

#define TINY_INPUT_C 1
#define TINY_INPUT_H 32
#define TINY_INPUT_W 32
#define TINY_OUTPUT_SIZE 10
#define TINY_CONTEXT_BYTES 4136

typedef struct {
    float memory[1034];
} tiny_context;

void tiny_set_row(tiny_context *ctx, int32_t y, const uint8_t *pixels);
void tiny_run(tiny_context *ctx);
const float *tiny_output(const tiny_context *ctx);
int32_t tiny_hundredths(const tiny_context *ctx, int32_t index);
int32_t tiny_argmax(const tiny_context *ctx);
const char *tiny_label(int32_t index);

#endif
