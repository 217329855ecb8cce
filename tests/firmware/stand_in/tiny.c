#include "tiny.h"

#define OUTPUT 1024

static const uint32_t in_ram[1] __attribute__((section(".uc_nn_ram"))) = {0x600DC0DEu};
static volatile uint32_t in_data = 0x600DDA7Au;
static volatile uint32_t in_bss;

void tiny_set_row(tiny_context *ctx, int32_t y, const uint8_t *pixels)
{
    int32_t x;

    for (x = 0; x < TINY_INPUT_W; ++x) {
        ctx->memory[y * TINY_INPUT_W + x] = (float)pixels[x] / 255.0f;
    }
}

void tiny_run(tiny_context *ctx)
{
    const volatile uint32_t *constant = in_ram;
    int32_t i;
    int32_t y;

    for (i = 0; i < TINY_OUTPUT_SIZE; ++i) {
        float sum = 0.0f;

        for (y = 0; y < TINY_INPUT_H; ++y) {
            const float *pixel = ctx->memory + y * TINY_INPUT_W + 3 * i;

            sum += pixel[0] + pixel[1] + pixel[2];
        }
        ctx->memory[OUTPUT + i] = sum / 96.0f;
    }
    /* Start-up must have copied and cleared: otherwise the answer is far off. */
    if (*constant != 0x600DC0DEu || in_data != 0x600DDA7Au || in_bss != 0u) {
        ctx->memory[OUTPUT] = -1000.0f;
    }
}

const float *tiny_output(const tiny_context *ctx)
{
    return ctx->memory + OUTPUT;
}

int32_t tiny_hundredths(const tiny_context *ctx, int32_t index)
{
    const float value = ctx->memory[OUTPUT + index] * 100.0f;

    return (int32_t)(value < 0.0f ? value - 0.5f : value + 0.5f);
}

int32_t tiny_argmax(const tiny_context *ctx)
{
    int32_t best = 0;
    int32_t i;

    for (i = 1; i < TINY_OUTPUT_SIZE; ++i) {
        if (ctx->memory[OUTPUT + i] > ctx->memory[OUTPUT + best]) {
            best = i;
        }
    }
    return best;
}

const char *tiny_label(int32_t index)
{
    static const char *const labels[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

    return labels[index];
}
