/*
 * memcpy, memmove, memset and memcmp: the compiler may call them on its own, so a program without a C library must have
 * them. Words where both sides are aligned, bytes otherwise.
 */
#include <stddef.h>
#include <stdint.h>

/* A word that may overlay any type. */
typedef uint32_t __attribute__((__may_alias__)) word_t;

/* Keeps the compiler from turning a loop of memcpy into a call of memcpy. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *left, const void *right, size_t size);

static int aligned(const void *left, const void *right)
{
    return (((uintptr_t)left | (uintptr_t)right) & 3u) == 0u;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    if (aligned(to, from)) {
        word_t *target_word = to;
        const word_t *source_word = from;

        for (; size >= 4u; size -= 4u) {
            *target_word++ = *source_word++;
            KEEP_LOOP();
        }
        target = (uint8_t *)target_word;
        source = (const uint8_t *)source_word;
    }
    for (; size > 0u; --size) {
        *target++ = *source++;
        KEEP_LOOP();
    }
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    if ((uintptr_t)to <= (uintptr_t)from) {
        for (; size > 0u; --size) {
            *target++ = *source++;
            KEEP_LOOP();
        }
    } else {
        while (size > 0u) {
            --size;
            target[size] = source[size];
            KEEP_LOOP();
        }
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    uint8_t *target = to;
    uint8_t byte = (uint8_t)value;

    for (; size > 0u && ((uintptr_t)target & 3u) != 0u; --size) {
        *target++ = byte;
        KEEP_LOOP();
    }
    if (size >= 4u) {
        word_t *target_word = (word_t *)(void *)target;

        for (; size >= 4u; size -= 4u) {
            *target_word++ = byte * 0x01010101u;
            KEEP_LOOP();
        }
        target = (uint8_t *)target_word;
    }
    for (; size > 0u; --size) {
        *target++ = byte;
        KEEP_LOOP();
    }
    return to;
}

int memcmp(const void *left, const void *right, size_t size)
{
    const uint8_t *a = left;
    const uint8_t *b = right;

    for (; size > 0u; --size, ++a, ++b) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
        KEEP_LOOP();
    }
    return 0;
}
