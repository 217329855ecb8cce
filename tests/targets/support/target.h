/* What a test program needs of the machine that it runs on. */
#ifndef TARGET_H
#define TARGET_H

#include <stddef.h>
#include <stdint.h>

void target_begin(void);
void target_put(char c);
void target_end(void); /* the program is over; does not return where the machine can be switched off */

int main(void);

/* What GCC may call even in freestanding code. */
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
