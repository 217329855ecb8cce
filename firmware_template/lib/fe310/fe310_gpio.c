#include "fe310_gpio.h"

#include "fe310_regs.h"

void fe310_gpio_function(uint32_t pin)
{
    uint32_t bit = 1u << pin;

    fe310_clear_bits(GPIO_OUT_XOR, bit);
    fe310_clear_bits(GPIO_IOF_SEL, bit);
    fe310_set_bits(GPIO_IOF_EN, bit);
}

void fe310_gpio_drive(uint32_t pin, uint32_t level)
{
    uint32_t bit = 1u << pin;

    if (level != 0u) {
        fe310_set_bits(GPIO_PORT, bit);
    } else {
        fe310_clear_bits(GPIO_PORT, bit);
    }
    fe310_clear_bits(GPIO_OUT_XOR, bit);
    fe310_set_bits(GPIO_OUTPUT_EN, bit);
    fe310_clear_bits(GPIO_IOF_EN, bit);
}

void fe310_gpio_open_drain(uint32_t pin)
{
    uint32_t bit = 1u << pin;

    /* Let go first: the pin must never drive a 1 against a device that holds the line at 0. */
    fe310_clear_bits(GPIO_OUTPUT_EN, bit);
    fe310_clear_bits(GPIO_PORT, bit);
    fe310_clear_bits(GPIO_OUT_XOR, bit);
    fe310_set_bits(GPIO_PUE, bit);
    fe310_set_bits(GPIO_INPUT_EN, bit);
    fe310_clear_bits(GPIO_IOF_EN, bit);
}

void fe310_gpio_pull(uint32_t pin, uint32_t level)
{
    if (level != 0u) {
        fe310_clear_bits(GPIO_OUTPUT_EN, 1u << pin);
    } else {
        fe310_set_bits(GPIO_OUTPUT_EN, 1u << pin);
    }
}

uint32_t fe310_gpio_value(uint32_t pin)
{
    return (fe310_read(GPIO_VALUE) >> pin) & 1u;
}
