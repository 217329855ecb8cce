/*
 * The network of the paper's table 1 on pictures that the program draws itself: no camera is needed.
 *
 * This file is yours: use, change and pass it on without conditions.
 *
 * A picture goes into the network row by row, so that no picture is held beside the network: cifar10_set_row() takes 32
 * pixels of red, green, blue, and does what the spec's input.preprocess says. Lines on the UART (115,200 baud):
 *     PREDICTION: <label>  <milliseconds> ms  scores <label>:<value> ...
 *     checksum 0x<8 digits>       over the scores of all pictures: the same on every machine
 *     done
 */
#include <stdint.h>

#include "cifar10.h"
#include "fe310.h"
#include "uc_nn_board.h"

#define BAUD 115200u
#define PICTURES 10
#define FNV_OFFSET 0x811C9DC5u
#define FNV_PRIME 0x01000193u

struct color {
    uint8_t red;
    uint8_t green;
    uint8_t blue;
};

static cifar10_context network;

int main(void);

/* Clock and UART. A board whose clock does not come up says so, and goes on with what it has. */
static void start_board(void)
{
    const int timer = fe310_timer_init();
    const int uart = fe310_uart_init(BAUD);
    const int clock = fe310_clock_set(UC_NN_CORE_HZ);
    const int failed = timer != FE310_OK ? timer : uart != FE310_OK ? uart : clock;

    fe310_print("\nuc_nn: cifar10 on " UC_NN_BOARD ", core ");
    fe310_print_fixed((int32_t)((fe310_core_hz() + 50000u) / 100000u), 1u);
    fe310_print(" MHz, network RAM ");
    fe310_print_unsigned((uint32_t)sizeof(network));
    fe310_print(" bytes\n");
    if (failed != FE310_OK) {
        fe310_print("error: ");
        fe310_print(fe310_error_text(failed));
        fe310_print("\n");
    }
}

static struct color mixed(struct color a, struct color b, int32_t part)
{
    return (struct color){
        (uint8_t)((a.red * (32 - part) + b.red * part) / 32),
        (uint8_t)((a.green * (32 - part) + b.green * part) / 32),
        (uint8_t)((a.blue * (32 - part) + b.blue * part) / 32),
    };
}

/* A scene of simple shapes: a sky that fades into a ground, on it a disc or a box. */
static struct color scene(int32_t picture, int32_t y, int32_t x)
{
    static const struct color skies[] = {{120, 170, 230}, {70, 110, 80}, {200, 190, 180}, {40, 60, 110}, {150, 150, 155}};
    static const struct color grounds[] = {{60, 90, 140}, {110, 90, 60}, {90, 140, 70}, {130, 125, 120}};
    static const struct color things[] = {{190, 60, 50}, {240, 240, 235}, {140, 100, 60}};
    const int32_t dx = x - (12 + picture % 3 * 4);
    const int32_t dy = y - (14 + picture % 2 * 4);
    const int32_t reach = 5 + picture % 4;
    const int inside = picture % 2 == 0 ? dx * dx + dy * dy <= reach * reach
                                        : dx >= -2 * reach && dx <= 2 * reach && 2 * dy >= -reach && 2 * dy <= reach;

    return inside ? things[picture % 3] : mixed(skies[picture % 5], grounds[picture % 4], y);
}

/* A row of 32 pixels with some noise, red, green, blue in turn. */
static void draw_row(int32_t picture, int32_t y, uint8_t row[CIFAR10_INPUT_W * CIFAR10_INPUT_C])
{
    uint32_t random = 1u + (uint32_t)(picture * CIFAR10_INPUT_H + y);

    for (int32_t x = 0; x < CIFAR10_INPUT_W; x++) {
        const struct color color = scene(picture, y, x);

        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        row[3 * x + 0] = (uint8_t)(color.red + (random & 15u));
        row[3 * x + 1] = (uint8_t)(color.green + (random >> 4 & 15u));
        row[3 * x + 2] = (uint8_t)(color.blue + (random >> 8 & 15u));
    }
}

static void print_prediction(uint32_t ticks)
{
    fe310_print("PREDICTION: ");
    fe310_print_label(cifar10_label(cifar10_argmax(&network)));
    fe310_print("  ");
    fe310_print_fixed((int32_t)fe310_ticks_to_tenths(ticks), 1u);
    fe310_print(" ms  scores");
    for (int32_t i = 0; i < CIFAR10_OUTPUT_SIZE; i++) {
        fe310_print(" ");
        fe310_print_label(cifar10_label(i));
        fe310_print(":");
        fe310_print_fixed(cifar10_hundredths(&network, i), 2u);
    }
    fe310_print("\n");
}

/* FNV-1a over the scores as the network leaves them. */
static uint32_t checked(uint32_t sum)
{
    for (int32_t i = 0; i < CIFAR10_OUTPUT_SIZE; i++) {
        sum = (sum ^ (uint8_t)cifar10_output(&network)[i]) * FNV_PRIME;
    }
    return sum;
}

int main(void)
{
    uint8_t row[CIFAR10_INPUT_W * CIFAR10_INPUT_C];
    uint32_t sum = FNV_OFFSET;

    start_board();
    for (int32_t picture = 0; picture < PICTURES; picture++) {
        uint32_t start;

        for (int32_t y = 0; y < CIFAR10_INPUT_H; y++) {
            draw_row(picture, y, row);
            cifar10_set_row(&network, y, row);
        }
        start = fe310_ticks();
        cifar10_run(&network);
        print_prediction(fe310_ticks() - start);
        sum = checked(sum);
    }
    fe310_print("checksum ");
    fe310_print_hex(sum, 8u);
    fe310_print("\ndone\n");
    for (;;) {
        fe310_sleep_ms(1000u);
    }
}
