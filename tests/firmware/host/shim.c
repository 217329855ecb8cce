/* The drivers' way to the registers, handed to whoever loads this library. */
#include <stdint.h>

uint32_t (*host_read)(uint32_t address);
void (*host_write)(uint32_t address, uint32_t value);
void (*host_spin)(uint32_t rounds);
uint32_t (*host_cycles)(void);

uint32_t fe310_read(uint32_t address);
void fe310_write(uint32_t address, uint32_t value);
void fe310_spin(uint32_t rounds);
uint32_t fe310_cycles(void);

uint32_t fe310_read(uint32_t address)
{
    return host_read(address);
}

void fe310_write(uint32_t address, uint32_t value)
{
    host_write(address, value);
}

void fe310_spin(uint32_t rounds)
{
    host_spin(rounds);
}

uint32_t fe310_cycles(void)
{
    return host_cycles();
}
