/*
 * The camera shows, the network names: OV2640 -> ArduCAM FIFO -> lenet5 -> UART.
 *
 * This file is yours: use, change and pass it on without conditions.
 *
 * There is no frame buffer. Rows come out of the camera's FIFO one by one, and go straight into the network:
 * lenet5_set_row() does to a row what the spec's input.preprocess says. A network with schedule streamed takes each row
 * at once, and is nearly done when the last one is there. While the rest is computed and printed, the sensor fills the FIFO
 * with the next frame.
 *
 * Wiring: docs/wiring.md of uc_nn_pio. Lines on the UART (115,200 baud):
 *     PREDICTION: <label>  <milliseconds> ms  scores <label>:<value> ...
 *     no camera: <why>            once a second, while there is none
 *     error: <what>               anything else that failed; it is tried again after a second
 */
#include <stddef.h>
#include <stdint.h>

#include "arducam.h"
#include "fe310.h"
#include "lenet5.h"
#include "ov2640.h"
#include "sccb.h"
#include "uc_nn_board.h"

#define BAUD 115200u
#define RETRY_MS 1000u
#define FRAME_TIMEOUT_MS 1000u /* the sensor gives 15 frames/s; slow ones in the dark */

/* Every STEP_X-th pixel of every STEP_Y-th row: 64 x 64 becomes what the network takes. */
#define STEP_X (OV2640_WIDTH / LENET5_INPUT_W)
#define STEP_Y (OV2640_HEIGHT / LENET5_INPUT_H)

#if LENET5_INPUT_C != 1
#error "the camera gives gray pictures: the network's input must have one channel"
#endif
#if LENET5_INPUT_W > OV2640_WIDTH || OV2640_WIDTH % LENET5_INPUT_W != 0
#error "the network's input width must divide the camera's 64 pixels"
#endif
#if LENET5_INPUT_H > OV2640_HEIGHT || OV2640_HEIGHT % LENET5_INPUT_H != 0
#error "the network's input height must divide the camera's 64 rows"
#endif

/* -D UC_NN_PICTURES=N sends every N-th picture as well, for a monitor that draws (monitor_filters = uc_nn): half a byte of
 * RAM a pixel, and a digit a pixel on the UART while the next frame is being taken. */
#ifdef UC_NN_PICTURES
static uint8_t picture[LENET5_INPUT_H][(LENET5_INPUT_W + 1) / 2];
static uint32_t pictures;

static void keep_row(uint32_t y, const uint8_t *row)
{
    for (uint32_t x = 0u; x < LENET5_INPUT_W; ++x) {
        const uint32_t shift = x % 2u == 0u ? 4u : 0u;

        picture[y][x / 2u] = (uint8_t)((picture[y][x / 2u] & (0xF0u >> shift)) | (uint32_t)(row[x] >> 4) << shift);
    }
}

static void print_picture(void)
{
    if (pictures++ % UC_NN_PICTURES != 0u) {
        return;
    }
    fe310_print("PICTURE ");
    fe310_print_unsigned(LENET5_INPUT_W);
    fe310_print(" ");
    fe310_print_unsigned(LENET5_INPUT_H);
    fe310_print("\n");
    for (uint32_t y = 0u; y < LENET5_INPUT_H; ++y) {
        for (uint32_t x = 0u; x < LENET5_INPUT_W; ++x) {
            const uint32_t digit = picture[y][x / 2u] >> (x % 2u == 0u ? 4u : 0u) & 15u;

            (void)fe310_uart_write((uint8_t)(digit < 10u ? '0' + digit : 'a' + digit - 10u));
        }
        fe310_print("\n");
    }
}
#endif

static const struct sccb_bus camera_bus = {UC_NN_PIN_SCCB_SDA, UC_NN_PIN_SCCB_SCL};
static lenet5_context network;

int main(void);

static void print_class(int32_t index)
{
    fe310_print_label(lenet5_label(index));
}

/* Which library the code is from shows in its number; each has its own range. */
static void print_failure(int code)
{
    const char *text = fe310_error_text(code);

    text = text != NULL ? text : sccb_error_text(code);
    text = text != NULL ? text : ov2640_error_text(code);
    text = text != NULL ? text : arducam_error_text(code);
    fe310_print(code == ARDUCAM_ERROR_ABSENT ? "no camera: " : "error: ");
    fe310_print(text != NULL ? text : "unknown");
    fe310_print(" (");
    fe310_print_signed(code);
    if (code == ARDUCAM_ERROR_LENGTH) {
        fe310_print(", FIFO length ");
        fe310_print_unsigned(arducam_fifo_length());
    }
    fe310_print(")\n");
}

/* Clock, UART, time. Nothing here may fail for good: the board says what is wrong and goes on. */
static void start_board(void)
{
    int timer;
    int uart;
    int clock;

#ifdef UC_NN_PIN_ESP32_CS
    fe310_gpio_drive(UC_NN_PIN_ESP32_CS, 1u); /* or the ESP32 on the same SPI may hold MISO low */
#endif
    timer = fe310_timer_init();
    uart = fe310_uart_init(BAUD);
    clock = fe310_clock_set(UC_NN_CORE_HZ);

    fe310_print("\nuc_nn: lenet5 on " UC_NN_BOARD ", core ");
    fe310_print_fixed((int32_t)((fe310_core_hz() + 50000u) / 100000u), 1u);
    fe310_print(" MHz, network RAM ");
    fe310_print_unsigned((uint32_t)sizeof(network));
    fe310_print(" bytes\n");
    if (timer != FE310_OK) {
        print_failure(timer);
    }
    if (uart != FE310_OK) {
        print_failure(uart);
    }
    if (clock != FE310_OK) {
        print_failure(clock);
    }
#ifdef UC_NN_FLASH_FFMT
    clock = fe310_flash_set(UC_NN_FLASH_FFMT, UC_NN_FLASH_SCKDIV);
    fe310_print(clock == FE310_OK ? "flash: " UC_NN_FLASH "\n" : "flash: reset settings (check failed)\n");
#endif
    fe310_print("uc_nn: lenet5 ready\n");
}

/* Sets ArduChip and sensor up, and drops the first frames: they are dark until the exposure settles. */
static int start_camera(void)
{
    uint32_t sensor_id = 0u;
    uint32_t frame;
    int status = arducam_init(UC_NN_PIN_CAMERA_CS);

    if (status == ARDUCAM_OK) {
        status = sccb_init(&camera_bus);
    }
    if (status == SCCB_OK) {
        status = ov2640_init(&camera_bus, &sensor_id);
    }
    for (frame = 0u; frame < OV2640_SETTLE_FRAMES && status == ARDUCAM_OK; ++frame) {
        status = arducam_capture(FRAME_TIMEOUT_MS);
    }
    if (status == ARDUCAM_OK) {
        fe310_print("camera: OV2640 ");
        fe310_print_hex(sensor_id, 4u);
        fe310_print(", 64 x 64 gray\n");
        status = arducam_capture_start();
    }
    return status;
}

/*
 * From the FIFO into the network, row by row; the time that the network takes is added to *ticks. A frame that ends half-way
 * leaves nothing behind: row 0 of the next one begins anew.
 */
static int read_frame(uint32_t *ticks)
{
    uint8_t row[OV2640_WIDTH];
    uint32_t start;
    uint32_t x;
    uint32_t y;
    int status = arducam_read_start(OV2640_FRAME_BYTES);

    for (y = 0u; y < OV2640_HEIGHT && status == ARDUCAM_OK; ++y) {
        status = arducam_read(row, OV2640_WIDTH);
        if (status == ARDUCAM_OK && y % STEP_Y == 0u) {
            for (x = 0u; x < LENET5_INPUT_W; ++x) {
                row[x] = row[x * STEP_X];
            }
#ifdef UC_NN_PICTURES
            keep_row(y / STEP_Y, row);
#endif
            start = fe310_ticks();
            lenet5_set_row(&network, (int32_t)(y / STEP_Y), row);
            *ticks += fe310_ticks() - start;
        }
    }
    arducam_read_end();
    return status == ARDUCAM_OK ? arducam_check() : status;
}

static void print_prediction(uint32_t ticks)
{
    int32_t index;

    fe310_print("PREDICTION: ");
    print_class(lenet5_argmax(&network));
    fe310_print("  ");
    fe310_print_fixed((int32_t)fe310_ticks_to_tenths(ticks), 1u);
    fe310_print(" ms  scores");
    for (index = 0; index < LENET5_OUTPUT_SIZE; ++index) {
        fe310_print(" ");
        print_class(index);
        fe310_print(":");
        fe310_print_fixed(lenet5_hundredths(&network, index), 2u);
    }
    fe310_print("\n");
}

/* One frame from the sensor to the UART; the next one is under way when it returns. */
static int name_frame(void)
{
    uint32_t ticks = 0u;
    uint32_t start;
    int status = arducam_capture_wait(FRAME_TIMEOUT_MS);

    if (status == ARDUCAM_OK) {
        status = read_frame(&ticks);
    }
    if (status == ARDUCAM_OK) {
        status = arducam_capture_start();
        start = fe310_ticks();
        lenet5_run(&network);
        ticks += fe310_ticks() - start;
#ifdef UC_NN_PICTURES
        print_picture();
#endif
        print_prediction(ticks);
    }
    return status;
}

int main(void)
{
    int status;

    start_board();
    for (;;) {
        status = start_camera();
        while (status == ARDUCAM_OK) {
            status = name_frame();
            fe310_stack_check();
        }
        print_failure(status);
        fe310_sleep_ms(RETRY_MS);
    }
}
