/* The FE310: UART0. Start-up code is that of the virtual board's own tests. */
#include "target.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define GPIO_IOF_EN REGISTER(0x10012038u)
#define UART_TXDATA REGISTER(0x10013000u)
#define UART_TXCTRL REGISTER(0x10013008u)
#define UART_DIV REGISTER(0x10013018u)

void target_begin(void)
{
    GPIO_IOF_EN |= 3u << 16;
    UART_DIV = 14400000u / 115200u - 1u; /* the core's clock after reset: 72 MHz / 5 */
    UART_TXCTRL = 1u;
}

void target_put(char c)
{
    while ((UART_TXDATA >> 31) != 0u) {
    }
    UART_TXDATA = (uint8_t)c;
}

void target_end(void)
{
}
