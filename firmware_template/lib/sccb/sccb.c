#include "sccb.h"

#include <stddef.h>

#include "fe310.h"

#define HALF_PERIOD_US 5u /* two of them: 100 kHz at the most */
#define STRETCH_TIMEOUT_US 1000u
#define READ_BIT 1u

static void half_period(void)
{
    fe310_delay_us(HALF_PERIOD_US);
}

/* Lets SCL go and waits until it is up: a device may hold it. */
static int clock_up(const struct sccb_bus *bus)
{
    uint32_t waited_us;

    fe310_gpio_pull(bus->scl_pin, 1u);
    for (waited_us = 0u; waited_us < STRETCH_TIMEOUT_US; ++waited_us) {
        if (fe310_gpio_value(bus->scl_pin) != 0u) {
            half_period();
            return SCCB_OK;
        }
        fe310_delay_us(1u);
    }
    return SCCB_ERROR_SCL_LOW;
}

static void clock_down(const struct sccb_bus *bus)
{
    fe310_gpio_pull(bus->scl_pin, 0u);
    half_period();
}

/* SDA falls while SCL is up. */
static int start(const struct sccb_bus *bus)
{
    int status;

    fe310_gpio_pull(bus->sda_pin, 1u);
    half_period();
    status = clock_up(bus);
    if (status != SCCB_OK) {
        return status;
    }
    if (fe310_gpio_value(bus->sda_pin) == 0u) {
        return SCCB_ERROR_SDA_LOW;
    }
    fe310_gpio_pull(bus->sda_pin, 0u);
    half_period();
    clock_down(bus);
    return SCCB_OK;
}

/* SDA rises while SCL is up. Sent after a failure as well: it leaves the bus free. */
static int stop(const struct sccb_bus *bus)
{
    int status;

    clock_down(bus);
    fe310_gpio_pull(bus->sda_pin, 0u);
    half_period();
    status = clock_up(bus);
    fe310_gpio_pull(bus->sda_pin, 1u);
    half_period();
    return status;
}

/* Clocks one bit: sends `bit`, returns what SDA was while SCL was up, or a negative code. */
static int exchange_bit(const struct sccb_bus *bus, uint32_t bit)
{
    int status;
    int seen;

    fe310_gpio_pull(bus->sda_pin, bit);
    half_period();
    status = clock_up(bus);
    if (status != SCCB_OK) {
        return status;
    }
    seen = (int)fe310_gpio_value(bus->sda_pin);
    clock_down(bus);
    return seen;
}

static int send_byte(const struct sccb_bus *bus, uint8_t byte)
{
    uint32_t left;
    int seen;

    for (left = 8u; left > 0u; --left) {
        seen = exchange_bit(bus, ((uint32_t)byte >> (left - 1u)) & 1u);
        if (seen < 0) {
            return seen;
        }
    }
    seen = exchange_bit(bus, 1u); /* ninth clock: the device pulls SDA to say that it listens */
    if (seen < 0) {
        return seen;
    }
    return seen == 0 ? SCCB_OK : SCCB_ERROR_NO_ACK;
}

static int receive_byte(const struct sccb_bus *bus)
{
    uint32_t byte = 0u;
    uint32_t count;
    int seen;

    for (count = 0u; count < 8u; ++count) {
        seen = exchange_bit(bus, 1u);
        if (seen < 0) {
            return seen;
        }
        byte = (byte << 1) | (uint32_t)seen;
    }
    seen = exchange_bit(bus, 1u); /* ninth clock, left at 1: this was the last byte */
    return seen < 0 ? seen : (int)byte;
}

static int send_bytes(const struct sccb_bus *bus, const uint8_t *bytes, uint32_t count)
{
    uint32_t index;
    int status = start(bus);

    for (index = 0u; index < count && status == SCCB_OK; ++index) {
        status = send_byte(bus, bytes[index]);
    }
    return status;
}

int sccb_init(const struct sccb_bus *bus)
{
    uint32_t count;
    int status = SCCB_OK;

    fe310_gpio_open_drain(bus->sda_pin);
    fe310_gpio_open_drain(bus->scl_pin);
    half_period();
    if (fe310_gpio_value(bus->sda_pin) != 0u && fe310_gpio_value(bus->scl_pin) != 0u) {
        return SCCB_OK;
    }
    for (count = 0u; count < 9u && status == SCCB_OK; ++count) {
        clock_down(bus);
        status = clock_up(bus);
    }
    if (status == SCCB_OK) {
        status = stop(bus);
    }
    if (status == SCCB_OK && fe310_gpio_value(bus->sda_pin) == 0u) {
        status = SCCB_ERROR_SDA_LOW;
    }
    return status;
}

int sccb_write(const struct sccb_bus *bus, uint8_t address, uint8_t reg, uint8_t value)
{
    uint8_t bytes[3];
    int status;
    int stopped;

    bytes[0] = (uint8_t)(address << 1);
    bytes[1] = reg;
    bytes[2] = value;
    status = send_bytes(bus, bytes, 3u);
    stopped = stop(bus);
    return status != SCCB_OK ? status : stopped;
}

/* SCCB has no repeated start: the register's number is a write of its own, ended by a stop. */
int sccb_read(const struct sccb_bus *bus, uint8_t address, uint8_t reg)
{
    uint8_t bytes[2];
    int status;
    int stopped;

    bytes[0] = (uint8_t)(address << 1);
    bytes[1] = reg;
    status = send_bytes(bus, bytes, 2u);
    stopped = stop(bus);
    if (status == SCCB_OK) {
        status = stopped;
    }
    if (status != SCCB_OK) {
        return status;
    }
    bytes[0] = (uint8_t)(bytes[0] | READ_BIT);
    status = send_bytes(bus, bytes, 1u);
    if (status == SCCB_OK) {
        status = receive_byte(bus);
    }
    stopped = stop(bus);
    return status >= 0 && stopped != SCCB_OK ? stopped : status;
}

const char *sccb_error_text(int code)
{
    switch (code) {
    case SCCB_ERROR_NO_ACK:
        return "nobody acknowledges on SCCB (sensor absent, not powered, or in reset)";
    case SCCB_ERROR_SCL_LOW:
        return "SCCB: SCL stays at 0 (no pull-up, a short circuit, or a stuck device)";
    case SCCB_ERROR_SDA_LOW:
        return "SCCB: SDA stays at 0, even after nine clocks and a stop";
    default:
        return NULL;
    }
}
