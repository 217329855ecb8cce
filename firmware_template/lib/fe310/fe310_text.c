#include "fe310_text.h"

#include <stddef.h>

#include "fe310.h"

#define MAX_DIGITS 10u

static void put(char character)
{
    (void)fe310_uart_write((uint8_t)character);
}

void fe310_print(const char *text)
{
    for (; *text != '\0'; ++text) {
        if (*text == '\n') {
            put('\r');
        }
        put(*text);
    }
}

static void put_hex(uint32_t value, uint32_t digits)
{
    while (digits > 0u) {
        --digits;
        put("0123456789ABCDEF"[(value >> (4u * digits)) & 0xFu]);
    }
}

void fe310_print_label(const char *text)
{
    for (; *text != '\0'; ++text) {
        uint8_t byte = (uint8_t)*text;

        if (byte < 0x20u || byte == 0x7Fu) {
            put('\\');
            put('x');
            put_hex(byte, 2u);
        } else {
            put(*text);
        }
    }
}

void fe310_print_hex(uint32_t value, uint32_t digits)
{
    put('0');
    put('x');
    put_hex(value, digits);
}

/* value / 10^decimals, with at least one digit before the point */
static void put_decimal(uint32_t value, uint32_t decimals)
{
    char digits[MAX_DIGITS];
    uint32_t count = 0u;

    do {
        digits[count] = (char)('0' + (char)(value % 10u));
        value /= 10u;
        ++count;
    } while (count < MAX_DIGITS && (value != 0u || count <= decimals));
    while (count > 0u) {
        --count;
        put(digits[count]);
        if (count == decimals && count != 0u) {
            put('.');
        }
    }
}

void fe310_print_unsigned(uint32_t value)
{
    put_decimal(value, 0u);
}

void fe310_print_fixed(int32_t value, uint32_t decimals)
{
    uint32_t magnitude = (uint32_t)value;

    if (value < 0) {
        put('-');
        magnitude = 0u - magnitude;
    }
    put_decimal(magnitude, decimals);
}

void fe310_print_signed(int32_t value)
{
    fe310_print_fixed(value, 0u);
}

/* |value| x 100 from the bits of an IEEE single, in integers: no soft-float code is pulled in. Rounds halves up. */
static uint32_t hundredths(uint32_t bits)
{
    uint32_t exponent = (bits >> 23) & 0xFFu;
    uint64_t product = (uint64_t)((bits & 0x7FFFFFu) | 0x800000u) * 100u; /* value = mantissa x 2^(exponent - 150) */

    if (exponent >= 152u) {
        return (uint32_t)INT32_MAX; /* from 2^25 on: past the limit */
    }
    if (exponent >= 150u) {
        product <<= exponent - 150u;
    } else if (exponent < 110u) {
        return 0u; /* also subnormals: under 2^-40 */
    } else {
        uint32_t shift = 150u - exponent;

        product = (product + ((uint64_t)1 << (shift - 1u))) >> shift;
    }
    return product > (uint64_t)INT32_MAX ? (uint32_t)INT32_MAX : (uint32_t)product;
}

void fe310_print_float2(float value)
{
    union {
        float value;
        uint32_t bits;
    } single;
    uint32_t magnitude;

    single.value = value;
    magnitude = single.bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) {
        fe310_print("nan");
        return;
    }
    if ((single.bits >> 31) != 0u && (magnitude == 0x7F800000u || hundredths(magnitude) != 0u)) {
        put('-');
    }
    if (magnitude == 0x7F800000u) {
        fe310_print("inf");
        return;
    }
    put_decimal(hundredths(magnitude), 2u);
}

const char *fe310_error_text(int code)
{
    switch (code) {
    case FE310_ERROR_PLL_RANGE:
        return "the PLL cannot make a core clock near the one asked for";
    case FE310_ERROR_CRYSTAL:
        return "the 16 MHz crystal oscillator does not start";
    case FE310_ERROR_PLL_LOCK:
        return "the PLL does not lock";
    case FE310_ERROR_UART:
        return "the UART does not send its characters";
    case FE310_ERROR_SPI:
        return "SPI1 does not shift: no byte came back in time";
    case FE310_ERROR_SPI_PIN:
        return "the pin is no chip select of SPI1 (GPIO 2, 9 and 10 are)";
    case FE310_ERROR_RTC:
        return "mtime does not count: the 32,768 Hz clock does not run";
    case FE310_ERROR_FLASH:
        return "the flash does not answer with the settings that were tried";
    case FE310_ERROR_OSCILLATOR:
        return "the internal oscillator does not get ready";
    case FE310_ERROR_CRYSTAL_OFF:
        return "the core clock is more than 2 % off: the crystal is not one of 16 MHz, or mtime is wrong";
    default:
        return NULL;
    }
}
