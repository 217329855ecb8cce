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
#define TEST_ROUNDS 8u
#define MARK 0x5Au          /* left in TEST: a chip that lost its supply has it no more */
#define CLEAR_TIMEOUT_MS 3u

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

/*
 * Two patterns through the test register in turns: an open MISO may show either by chance, so half of the rounds; wires
 * that are too long spoil some. Leaves the mark.
 */
static int test(void)
{
    uint32_t right = 0u;
    uint32_t round;
    int status;

    for (round = 0u; round < TEST_ROUNDS; ++round) {
        uint8_t pattern = (round & 1u) != 0u ? 0xAAu : 0x55u;

        status = write_register(TEST, pattern);
        if (status == ARDUCAM_OK) {
            status = read_register(TEST);
        }
        if (status < 0) {
            return status;
        }
        right += status == (int)pattern ? 1u : 0u;
    }
    status = write_register(TEST, MARK);
    if (status != ARDUCAM_OK || right == TEST_ROUNDS) {
        return status;
    }
    return right > TEST_ROUNDS / 2u ? ARDUCAM_ERROR_BITS : ARDUCAM_ERROR_ABSENT;
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

    if (status == ARDUCAM_OK) {
        status = test();
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
    status = write_register(TEST, MARK);
    if (status == ARDUCAM_OK) {
        status = write_register(CAPTURE_CONTROL, CAPTURE_ONE_FRAME);
    }
    return status == ARDUCAM_OK ? write_register(FIFO_CONTROL, FIFO_CLEAR_DONE) : status;
}

int arducam_check(void)
{
    int mark = read_register(TEST);
    int status = mark < 0 ? mark : test();

    return status == ARDUCAM_OK && mark != (int)MARK ? ARDUCAM_ERROR_RESTARTED : status;
}

/* The reason behind an odd answer: the link, if it is not in order, else `code`. */
static int blame(int code)
{
    int status = arducam_check();

    return status == ARDUCAM_OK ? code : status;
}

/* The last frame's flag must go before the next one's can mean anything. */
static int clear_done(void)
{
    uint32_t waited_ms;
    int status = write_register(FIFO_CONTROL, FIFO_CLEAR_DONE);

    for (waited_ms = 0u; status == ARDUCAM_OK; ++waited_ms) {
        status = read_register(STATUS);
        if (status < 0) {
            return status;
        }
        if ((status & STATUS_DONE) == 0) {
            return ARDUCAM_OK;
        }
        if (waited_ms == CLEAR_TIMEOUT_MS) {
            return blame(ARDUCAM_ERROR_DONE);
        }
        fe310_sleep_ms(1u);
        status = ARDUCAM_OK;
    }
    return status;
}

int arducam_capture_start(void)
{
    int status = clear_done();

    return status == ARDUCAM_OK ? write_register(FIFO_CONTROL, FIFO_START) : status;
}

int arducam_capture_wait(uint32_t timeout_ms)
{
    for (; timeout_ms > 0u; --timeout_ms) {
        int status = read_register(STATUS);

        if (status < 0) {
            return status;
        }
        if ((status & STATUS_DONE) != 0) {
            return ARDUCAM_OK;
        }
        fe310_sleep_ms(1u);
    }
    return blame(ARDUCAM_ERROR_TIMEOUT);
}

int arducam_capture(uint32_t timeout_ms)
{
    int status = arducam_capture_start();

    return status == ARDUCAM_OK ? arducam_capture_wait(timeout_ms) : status;
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
        return blame(ARDUCAM_ERROR_LENGTH);
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
    case ARDUCAM_ERROR_DONE:
        return "the done flag of the last capture cannot be cleared";
    case ARDUCAM_ERROR_BITS:
        return "bits are lost on SPI1: shorter wires, a better ground, or a slower SCK";
    case ARDUCAM_ERROR_RESTARTED:
        return "the ArduChip has lost what was set: its supply was cut";
    default:
        return NULL;
    }
}
