/*
 * ArduCAM Mini 2MP: the ArduChip between sensor and SPI1. It catches one frame from the sensor into its FIFO, and gives it
 * out over SPI at our pace.
 *
 *     arducam_init();                             once, and again after any failure
 *     arducam_capture_start();                    the next whole frame goes into the FIFO, by itself
 *     arducam_capture_wait(timeout_ms);           now it is there
 *     arducam_read_start(bytes);                  checks the length, skips the dummy bytes in front
 *     arducam_read(row, 64); ...                  in as many pieces as you like, all `bytes` of them
 *     arducam_read_end();
 *     arducam_check();                            were these pixels, or what an unplugged camera leaves on the wires?
 *
 * A frame that is not wanted need not be read: the next arducam_capture_start() drops it.
 */
#ifndef ARDUCAM_H
#define ARDUCAM_H

#include <stdint.h>

#define ARDUCAM_SCK_HZ 4000000u  /* the ArduChip takes 8 MHz; half of it over jumper wires */
#define ARDUCAM_MAX_DUMMY_BYTES 16u

/*
 * What a burst begins with, beside what lies in the FIFO: the Mini 2MP sends one byte that means nothing, the Mini 2MP
 * Plus none. Nothing tells the two apart, so a Plus needs -D ARDUCAM_BURST_DUMMY_BYTES=0 (without it the picture is one
 * pixel too far left; a Mini with it, too far right).
 */
#ifndef ARDUCAM_BURST_DUMMY_BYTES
#define ARDUCAM_BURST_DUMMY_BYTES 1u
#endif

#define ARDUCAM_OK 0
#define ARDUCAM_ERROR_ABSENT (-31)  /* the ArduChip does not answer on SPI1 */
#define ARDUCAM_ERROR_VERSION (-32) /* a chip answers, but it is not the ArduChip of a Mini 2MP */
#define ARDUCAM_ERROR_TIMEOUT (-33) /* the capture never ends: no picture comes from the sensor */
#define ARDUCAM_ERROR_LENGTH (-34)  /* the FIFO holds another number of bytes than a frame has */

#define ARDUCAM_ERROR_DONE (-35)    /* the done flag of the last capture cannot be cleared */
#define ARDUCAM_ERROR_BITS (-36)    /* bits are lost on SPI1 */
#define ARDUCAM_ERROR_RESTARTED (-37) /* the ArduChip has lost what was set: its supply was cut */

/*
 * Sets SPI1 up at ARDUCAM_SCK_HZ from the core clock of now, looks for the ArduChip with its test register, resets it,
 * checks its version and clears the FIFO flag. Takes 0.2 s if the chip is there. cs_pin: see fe310_spi.h.
 */
int arducam_init(uint32_t cs_pin);

/* Has the ArduChip catch the next frame. It does so by itself: the processor is free meanwhile. */
int arducam_capture_start(void);

/* Waits until the frame that was started is in the FIFO, at most timeout_ms. */
int arducam_capture_wait(uint32_t timeout_ms);

/* Both: catches the next frame, and waits for it. */
int arducam_capture(uint32_t timeout_ms);

/* Starts a burst read of a frame of so many bytes. The FIFO may hold up to 16 more, which mean nothing, all in front. */
int arducam_read_start(uint32_t frame_bytes);

/* The next bytes of the frame. */
int arducam_read(uint8_t *bytes, uint32_t count);

/* Ends the burst; after a failure of the two above too. */
void arducam_read_end(void);

/*
 * Whether the ArduChip is there, is still the one that arducam_init() set up, and hears and says every bit: eight patterns
 * through its test register. Takes 0.1 ms. Behind each frame: pixels themselves cannot show that the camera has gone.
 */
int arducam_check(void);

/* Bytes that the FIFO said it holds when it was last asked: worth printing with ARDUCAM_ERROR_LENGTH. */
uint32_t arducam_fifo_length(void);

/* One line of English for a code of this library; NULL for any other number. */
const char *arducam_error_text(int code);

#endif
