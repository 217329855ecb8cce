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

int main(void)
{
    (void)fe310_timer_init();
    (void)fe310_uart_init(115200u);
    (void)fe310_clock_set(UC_NN_CORE_HZ);
    for (int32_t n = 0; n < LENET5_SAMPLES; ++n) {
        lenet5_run_sample(&network, &lenet5_samples[n]);
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
