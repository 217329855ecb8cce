/* What the sketch uses of the Arduino framework, on the UART of a board that QEMU has. */
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {
#include "bare.h"
void *memcpy(void *to, const void *from, size_t size);
}

class StandInSerial {
public:
    void begin(unsigned long) { bare_begin(); }
    void print(const char *text) { bare_print(text); }
    void print(unsigned long value) { bare_print_signed(static_cast<int32_t>(value)); }
    void println(const char *text)
    {
        bare_print(text);
        bare_print("\n");
    }
};

extern StandInSerial Serial;

unsigned long micros();
void delay(unsigned long milliseconds);
void setup();
void loop();
