/*
 * Text on the UART, without printf. Lines end in "\r\n": a '\n' in fe310_print() sends both. What the UART does not take
 * in time is dropped.
 */
#ifndef FE310_TEXT_H
#define FE310_TEXT_H

#include <stdint.h>

void fe310_print(const char *text);

/* Text from elsewhere, a class label say: control characters come out as \xNN, so that no terminal obeys them. */
void fe310_print_label(const char *text);

void fe310_print_unsigned(uint32_t value);

void fe310_print_signed(int32_t value);

/* 0x and so many digits, 1..8. */
void fe310_print_hex(uint32_t value, uint32_t digits);

/* value / 10^decimals: fe310_print_fixed(-1234, 2) prints -12.34. decimals 0..9. */
void fe310_print_fixed(int32_t value, uint32_t decimals);

/* A float to two decimals, halves away from zero; inf, -inf, nan; beyond +-21,474,836.47 it prints that limit. */
void fe310_print_float2(float value);

#endif
