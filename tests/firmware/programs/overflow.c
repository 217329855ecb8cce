/* Calls itself until the stack leaves RAM. */
#include <stdint.h>

int main(void);
static uint32_t deeper(volatile uint32_t *from, uint32_t depth);

static uint32_t deeper(volatile uint32_t *from, uint32_t depth)
{
    volatile uint32_t frame[16];

    frame[depth % 16u] = *from;
    if (depth == 0u) {
        return frame[0];
    }
    return deeper(frame, depth - 1u) + frame[depth % 16u];
}

int main(void)
{
    volatile uint32_t start = 1u;

    return (int)deeper(&start, 1000u);
}
