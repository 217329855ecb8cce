/*
 * A network in a Zephyr application: an empty picture, named. This file is yours: use, change and pass it on.
 */
#include <stdio.h>
#include <string.h>

#include "lenet5.h"

static lenet5_context network;

int main(void)
{
    static uint8_t row[LENET5_INPUT_W * LENET5_INPUT_C];

    for (int32_t y = 0; y < LENET5_INPUT_H; y++) {
        memset(row, 255, sizeof row); /* white paper */
        lenet5_set_row(&network, y, row);
    }
    lenet5_run(&network);
    printf("blank is named %s, in %u bytes of RAM\n", lenet5_label(lenet5_argmax(&network)), (unsigned)sizeof network);
    return 0;
}
