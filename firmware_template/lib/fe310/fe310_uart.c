#include "fe310_uart.h"

#include "fe310.h"

#define UART_PIN_RX 16u
#define UART_PIN_TX 17u
#define FULL_TIMEOUT_US 20000u  /* 8 characters at 9,600 baud take 8.4 ms */
#define DRAIN_TIMEOUT_US 50000u /* 8 characters at the slowest divisor an earlier clock may have left */

static uint32_t uart_baud; /* 0: not set up yet */

uint32_t fe310_uart_divisor(uint32_t core_hz, uint32_t baud)
{
    uint32_t cycles = (core_hz + baud / 2u) / baud;

    return cycles > 0u ? cycles - 1u : 0u;
}

int fe310_uart_drain(void)
{
    struct fe310_timeout timeout = fe310_timeout_in(DRAIN_TIMEOUT_US);
    uint32_t bit_cycles = fe310_read(UART0_DIV) + 1u;
    int status = FE310_OK;

    if ((fe310_read(UART0_TXCTRL) & UART_TXEN) == 0u) {
        return FE310_OK;
    }
    fe310_write(UART0_TXCTRL, UART_TXEN | UART_TXCNT(1));
    while ((fe310_read(UART0_IP) & UART_IP_TXWM) == 0u) {
        if (fe310_timeout_over(&timeout)) {
            status = FE310_ERROR_UART;
            break;
        }
    }
    /* The FIFO is empty when the last character starts: 10 bits more, and one to be sure. */
    fe310_delay_cycles(11u * bit_cycles);
    return status;
}

void fe310_uart_retune(void)
{
    if (uart_baud != 0u) {
        fe310_write(UART0_DIV, fe310_uart_divisor(fe310_core_hz(), uart_baud));
    }
}

int fe310_uart_init(uint32_t baud)
{
    int status = fe310_uart_drain();

    uart_baud = baud;
    fe310_write(UART0_IE, 0u);
    fe310_uart_retune();
    fe310_write(UART0_TXCTRL, UART_TXEN | UART_TXCNT(1));
    fe310_write(UART0_RXCTRL, UART_RXEN);
    fe310_gpio_function(UART_PIN_RX);
    fe310_gpio_function(UART_PIN_TX);
    return status;
}

int fe310_uart_write(uint8_t byte)
{
    struct fe310_timeout timeout = fe310_timeout_in(FULL_TIMEOUT_US);

    while ((fe310_read(UART0_TXDATA) & UART_TXDATA_FULL) != 0u) {
        if (fe310_timeout_over(&timeout)) {
            return FE310_ERROR_UART;
        }
    }
    fe310_write(UART0_TXDATA, byte);
    return FE310_OK;
}
