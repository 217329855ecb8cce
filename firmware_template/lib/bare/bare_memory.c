/*
 * What a compiler may call on its own, where no C library is linked.
 *
 * This file is yours: use, change and pass it on without conditions.
 */
#include <stddef.h>
#include <stdint.h>

/* Keeps the compiler from turning a loop into a call of the function that it is in. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    return memmove(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    const int backwards = (uintptr_t)to > (uintptr_t)from;

    for (size_t i = 0; i < size; ++i) {
        const size_t at = backwards ? size - 1u - i : i;

        target[at] = source[at];
        KEEP_LOOP();
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    uint8_t *target = to;

    for (size_t i = 0; i < size; ++i) {
        target[i] = (uint8_t)value;
        KEEP_LOOP();
    }
    return to;
}
