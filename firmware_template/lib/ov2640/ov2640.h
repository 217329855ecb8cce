/*
 * OV2640 image sensor, set up for small gray pictures: 64 x 64 pixels, one byte each (Y8), rows from the top left.
 *
 * The field of view is a square. The published settings for 64 x 64 squeeze the sensor's 1600 x 1200 pixels into it, so
 * that a digit comes out 3/4 as wide as it is; ov2640_init() cuts 1200 x 1200 out of the middle instead.
 *
 * Pictures are dark at first: exposure and gain settle within about ten frames (OV2640_SETTLE_FRAMES). Drop them.
 */
#ifndef OV2640_H
#define OV2640_H

#include <stdint.h>

#include "sccb.h"

#define OV2640_ADDRESS 0x30u
#define OV2640_WIDTH 64u
#define OV2640_HEIGHT 64u
#define OV2640_FRAME_BYTES (OV2640_WIDTH * OV2640_HEIGHT)
#ifndef OV2640_SETTLE_FRAMES
#define OV2640_SETTLE_FRAMES 10u
#endif

#define OV2640_OK 0
#define OV2640_ERROR_ID (-21) /* a chip answers at the sensor's address, but it is no OV2640 */

/*
 * Resets the sensor, waits 100 ms, checks its ids, writes all settings. Takes about 0.2 s. The bus must be set up.
 * Returns 0, OV2640_ERROR_ID, or a code of sccb.h. `id` receives PIDH << 8 | PIDL (0x2642 or 0x2641); it may be NULL.
 */
int ov2640_init(const struct sccb_bus *bus, uint32_t *id);

/* One line of English for a code of this library; NULL for any other number. */
const char *ov2640_error_text(int code);

#endif
