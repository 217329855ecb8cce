#include "arducam.h"

#include <stddef.h>

#include "fe310.h"

/* ArduChip registers: 8 bits of address, bit 7 set for a write, then 8 bits of data */
#define WRITE 0x80u
#define TEST 0x00u
#define CAPTURE_CONTROL 0x01u
#define CAPTURE_ONE_FRAME 0x00u
#define FIFO_CONTROL 0x04u
#define FIFO_CLEAR_DONE 0x01u
#define FIFO_START 0x02u
#define CHIP_RESET 0x07u
#define CHIP_RESET_ON 0x80u
#define BURST_READ 0x3Cu
#define VERSION 0x40u
#define VERSION_MINI_2MP 0x73
#define STATUS 0x41u
#define STATUS_DONE 0x08
#define FIFO_SIZE1 0x42u /* length, 23 bits in three registers, low byte first */
#define FIFO_SIZE2 0x43u
#define FIFO_SIZE3 0x44u

#define RESET_MS 100u

static uint32_t last_length;

static int exchange(uint8_t address, uint8_t data)
{
    int status;

    fe310_spi1_select();
    status = fe310_spi1_transfer(address);
    if (status >= 0) {
        status = fe310_spi1_transfer(data);
    }
    fe310_spi1_release();
    return status;
}

static int read_register(uint8_t reg)
{
    return exchange(reg, 0x00u);
}

static int write_register(uint8_t reg, uint8_t value)
{
    int status = exchange((uint8_t)(reg | WRITE), value);

    return status < 0 ? status : ARDUCAM_OK;
}

/* Writes a pattern to the test register and reads it back. */
static int test(uint8_t pattern)
{
    int status = write_register(TEST, pattern);

    if (status == ARDUCAM_OK) {
        status = read_register(TEST);
    }
    if (status < 0) {
        return status;
    }
    return status == (int)pattern ? ARDUCAM_OK : ARDUCAM_ERROR_ABSENT;
}

static int reset_chip(void)
{
    int status = write_register(CHIP_RESET, CHIP_RESET_ON);

    fe310_sleep_ms(RESET_MS);
    if (status == ARDUCAM_OK) {
        status = write_register(CHIP_RESET, 0x00u);
        fe310_sleep_ms(RESET_MS);
    }
    return status;
}

int arducam_init(uint32_t cs_pin)
{
    int status = fe310_spi1_init(cs_pin, ARDUCAM_SCK_HZ);

    /* Two patterns: an open MISO may show either one by chance, not both. */
    if (status == ARDUCAM_OK) {
        status = test(0x55u);
    }
    if (status == ARDUCAM_OK) {
        status = test(0xAAu);
    }
    if (status == ARDUCAM_OK) {
        status = reset_chip();
    }
    if (status != ARDUCAM_OK) {
        return status;
    }
    status = read_register(VERSION);
    if (status < 0) {
        return status;
    }
    if (status != VERSION_MINI_2MP) {
        return ARDUCAM_ERROR_VERSION;
    }
    status = write_register(CAPTURE_CONTROL, CAPTURE_ONE_FRAME);
    return status == ARDUCAM_OK ? write_register(FIFO_CONTROL, FIFO_CLEAR_DONE) : status;
}

int arducam_capture(uint32_t timeout_ms)
{
    int status = write_register(FIFO_CONTROL, FIFO_CLEAR_DONE);

    if (status == ARDUCAM_OK) {
        status = write_register(FIFO_CONTROL, FIFO_START);
    }
    if (status != ARDUCAM_OK) {
        return status;
    }
    for (; timeout_ms > 0u; --timeout_ms) {
        status = read_register(STATUS);
        if (status < 0) {
            return status;
        }
        if ((status & STATUS_DONE) != 0) {
            return ARDUCAM_OK;
        }
        fe310_sleep_ms(1u);
    }
    return ARDUCAM_ERROR_TIMEOUT;
}

static int read_length(uint32_t *length)
{
    static const uint8_t registers[] = {FIFO_SIZE1, FIFO_SIZE2, FIFO_SIZE3};
    uint32_t index;

    *length = 0u;
    for (index = 0u; index < 3u; ++index) {
        int byte = read_register(registers[index]);

        if (byte < 0) {
            return byte;
        }
        *length |= (uint32_t)byte << (8u * index);
    }
    *length &= 0x7FFFFFu;
    return ARDUCAM_OK;
}

int arducam_read_start(uint32_t frame_bytes)
{
    uint32_t dummy;
    int status = read_length(&last_length);

    if (status != ARDUCAM_OK) {
        return status;
    }
    if (last_length < frame_bytes || last_length - frame_bytes > ARDUCAM_MAX_DUMMY_BYTES) {
        return ARDUCAM_ERROR_LENGTH;
    }
    fe310_spi1_select();
    status = fe310_spi1_transfer(BURST_READ);
    dummy = last_length - frame_bytes + ARDUCAM_BURST_DUMMY_BYTES;
    for (; dummy > 0u && status >= 0; --dummy) {
        status = fe310_spi1_transfer(0x00u);
    }
    return status < 0 ? status : ARDUCAM_OK;
}

int arducam_read(uint8_t *bytes, uint32_t count)
{
    for (; count > 0u; --count) {
        int byte = fe310_spi1_transfer(0x00u);

        if (byte < 0) {
            return byte;
        }
        *bytes++ = (uint8_t)byte;
    }
    return ARDUCAM_OK;
}

void arducam_read_end(void)
{
    fe310_spi1_release();
}

uint32_t arducam_fifo_length(void)
{
    return last_length;
}

const char *arducam_error_text(int code)
{
    switch (code) {
    case ARDUCAM_ERROR_ABSENT:
        return "the ArduChip does not answer on SPI1";
    case ARDUCAM_ERROR_VERSION:
        return "a chip answers on SPI1, but it is not the ArduChip of a Mini 2MP";
    case ARDUCAM_ERROR_TIMEOUT:
        return "the capture never ends: no picture comes from the sensor";
    case ARDUCAM_ERROR_LENGTH:
        return "the FIFO holds another number of bytes than a frame has";
    default:
        return NULL;
    }
}
