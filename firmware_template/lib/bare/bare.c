/* See bare.h. This file is yours: use, change and pass it on without conditions. */
#include "bare.h"

#include "uc_nn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define REGISTER8(address) (*(volatile uint8_t *)(address))

#if defined(UC_NN_UART_CMSDK)
/* Cortex-M System Design Kit, APB UART: data, state (bit 0: transmitter full), control (bit 0: transmit), divider. */
void bare_begin(void)
{
    REGISTER(UC_NN_UART_BASE + 0x10u) = UC_NN_CORE_HZ / 115200u;
    REGISTER(UC_NN_UART_BASE + 0x08u) = 1u;
}

void bare_put(char c)
{
    while ((REGISTER(UC_NN_UART_BASE + 0x04u) & 1u) != 0u) {
    }
    REGISTER(UC_NN_UART_BASE) = (uint8_t)c;
}
#elif defined(UC_NN_UART_NS16550)
/* 16550: registers of a byte; line status (5) has bit 5 where the transmitter is empty. Set up by who starts us. */
void bare_begin(void)
{
}

void bare_put(char c)
{
    while ((REGISTER8(UC_NN_UART_BASE + 5u) & 0x20u) == 0u) {
    }
    REGISTER8(UC_NN_UART_BASE) = (uint8_t)c;
}
#else
#error "uc_nn_board.h names no UART that bare.c knows: add it here, and to the board data (docs/boards.md)"
#endif

void bare_print(const char *text)
{
    for (; *text != '\0'; ++text) {
        if (*text == '\n') {
            bare_put('\r');
        }
        bare_put(*text);
    }
}

void bare_print_signed(int32_t value)
{
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    char digits[10];
    uint32_t count = 0u;

    if (value < 0) {
        bare_put('-');
    }
    do {
        digits[count++] = (char)('0' + rest % 10u);
        rest /= 10u;
    } while (rest != 0u);
    while (count > 0u) {
        bare_put(digits[--count]);
    }
}

void bare_exit(int32_t code)
{
#if defined(UC_NN_EXIT_SEMIHOSTING) && defined(__arm__)
    /* SYS_EXIT takes a reason alone on 32-bit Arm: ADP_Stopped_ApplicationExit is exit code 0, any other is 1. */
    register uint32_t operation __asm__("r0") = 0x18u;
    register uint32_t reason __asm__("r1") = code == 0 ? 0x20026u : 0x20023u;

    __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(reason) : "memory");
#elif defined(UC_NN_EXIT_SIFIVE_TEST)
    REGISTER(UC_NN_EXIT_BASE) = code == 0 ? 0x5555u : (uint32_t)code << 16 | 0x3333u;
#else
    (void)code;
#endif
    for (;;) {
    }
}
