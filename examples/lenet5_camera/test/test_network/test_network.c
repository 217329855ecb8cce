/*
 * `pio test`: a few of the model's test samples on the board, each output compared with what the converter's reference
 * computes. Lines for test_custom_runner.py: PASS name, FAIL name: why, DONE.
 *
 * This file is yours: use, change and pass it on without conditions.
 */
#include <stdint.h>

#include "fe310.h"
#include "lenet5.h"
#include "lenet5_samples.h"
#include "uc_nn_board.h"

static lenet5_context network;

int main(void);

static void infer(const lenet5_sample *sample)
{
#ifdef LENET5_CARRIED
    lenet5_reset_state(&network);
#endif
#ifdef LENET5_STREAMED
    lenet5_reset(&network);
    for (int32_t y = 0; y < LENET5_INPUT_H; ++y) {
        for (int32_t i = 0; i < LENET5_INPUT_SIZE / LENET5_INPUT_H; ++i) {
            lenet5_row(&network)[i] = sample->input[y * (LENET5_INPUT_SIZE / LENET5_INPUT_H) + i];
        }
        (void)lenet5_push_row(&network);
    }
#else
    for (int32_t i = 0; i < LENET5_INPUT_SIZE; ++i) {
        lenet5_input(&network)[i] = sample->input[i];
    }
#endif
    lenet5_run(&network);
}

int main(void)
{
    (void)fe310_timer_init();
    (void)fe310_uart_init(115200u);
    (void)fe310_clock_set(UC_NN_CORE_HZ);
    for (int32_t n = 0; n < LENET5_SAMPLES; ++n) {
        infer(&lenet5_samples[n]);
        if (lenet5_sample_agrees(&lenet5_samples[n], lenet5_output(&network))) {
            fe310_print("PASS lenet5 sample ");
            fe310_print_signed(n);
            fe310_print("\n");
        } else {
            fe310_print("FAIL lenet5 sample ");
            fe310_print_signed(n);
            fe310_print(": the output is not the reference's\n");
        }
    }
    fe310_print("DONE\n");
    for (;;) {
    }
}
