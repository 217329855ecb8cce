/*
 * A network as a plain library of an Arduino sketch: its test samples, one a second.
 *
 * The header is C and C++; the model's C file is compiled beside the sketch. Nothing of it allocates, prints or waits, so
 * it fits whatever the sketch does besides.
 *
 * This file is yours: use, change and pass it on without conditions.
 */
#include <Arduino.h>

#include "lenet5.h"
#include "lenet5_samples.h"

static lenet5_context network;
static int32_t turn = 0;

void setup()
{
    Serial.begin(115200);
}

void loop()
{
    const lenet5_sample *sample = &lenet5_samples[turn % LENET5_SAMPLES];
    const unsigned long start = micros();

    lenet5_run_sample(&network, sample);

    const unsigned long taken = micros() - start;

    Serial.print("PREDICTION: ");
    Serial.print(lenet5_label(lenet5_argmax(&network)));
    Serial.print("  ");
    Serial.print(taken);
    Serial.print(" us, ");
    Serial.println(lenet5_sample_agrees(sample, lenet5_output(&network)) ? "as the reference says" : "DIFFERS");
    turn++;
    delay(1000);
}
