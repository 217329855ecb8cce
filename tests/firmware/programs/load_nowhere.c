/* Reads where the chip has nothing. */
#include <stdint.h>

int main(void);

int main(void)
{
    return (int)*(volatile uint32_t *)(uintptr_t)0x50000010u;
}
