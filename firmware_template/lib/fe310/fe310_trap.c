/* What is left to do when the program cannot go on: say why, and stop. Entered from fe310_start.S. */
#include <stddef.h>
#include <stdint.h>

#include "fe310.h"

void fe310_trap(uint32_t mcause, uint32_t mepc, uint32_t mtval);
void fe310_main_returned(void);

/* FE310-G000 manual, table of mcause exception codes */
static const char *cause_text(uint32_t mcause)
{
    static const char *const texts[] = {
        "instruction address misaligned",
        "instruction access fault",
        "illegal instruction",
        "breakpoint",
        "load address misaligned",
        "load access fault",
        "store address misaligned",
        "store access fault",
        "environment call from user mode",
        NULL,
        NULL,
        "environment call",
    };
    const char *text = NULL;

    if ((mcause >> 31) != 0u) {
        return "interrupt that nobody asked for";
    }
    if (mcause < sizeof(texts) / sizeof(texts[0])) {
        text = texts[mcause];
    }
    return text != NULL ? text : "unknown cause";
}

static void halt(void)
{
    (void)fe310_uart_drain();
    for (;;) {
        __asm__ volatile("");
    }
}

void fe310_stop(const char *text)
{
    fe310_print("error: ");
    fe310_print(text);
    fe310_print("\n");
    halt();
}

void fe310_trap(uint32_t mcause, uint32_t mepc, uint32_t mtval)
{
    (void)fe310_timer_init();
    (void)fe310_uart_init(115200u);
    fe310_print("\nerror: trap: ");
    fe310_print(cause_text(mcause));
    fe310_print(", mcause ");
    fe310_print_hex(mcause, 8u);
    fe310_print(", pc ");
    fe310_print_hex(mepc, 8u);
    fe310_print(", address ");
    fe310_print_hex(mtval, 8u);
    fe310_print("\n");
    halt();
}

void fe310_main_returned(void)
{
    fe310_stop("the program has ended: main() returned");
}
