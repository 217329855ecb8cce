/* The boards MPS2 AN385 (Cortex-M3) and AN386 (Cortex-M4): start-up, UART0, and the end by semihosting. */
#include "target.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CTRL REGISTER(0x40004008u)
#define UART_BAUDDIV REGISTER(0x40004010u)
#define SCB_CCR REGISTER(0xE000ED14u)

#define SYS_EXIT 0x18u
#define APPLICATION_EXIT 0x20026u
#define RUN_TIME_ERROR 0x20023u

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_top[];
void reset(void);
void fault(void);

/* The emulator's exit code is 0 for APPLICATION_EXIT and 1 for anything else. */
static void leave(uint32_t reason)
{
    register uint32_t operation __asm__("r0") = SYS_EXIT;
    register uint32_t argument __asm__("r1") = reason;

    __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
    for (;;) {
    }
}

void target_begin(void)
{
    UART_BAUDDIV = 16u;
    UART_CTRL = 1u;
#ifdef ALIGNED_ONLY
    SCB_CCR |= 1u << 3; /* a word access that is not aligned becomes a fault */
#endif
}

void target_put(char c)
{
    while ((UART_STATE & 1u) != 0u) {
    }
    UART_DATA = (uint8_t)c;
}

void target_end(void)
{
    leave(APPLICATION_EXIT);
}

void fault(void)
{
    leave(RUN_TIME_ERROR);
}

void reset(void)
{
    const uint32_t *from = data_load;

    for (uint32_t *to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end; to++) {
        *to = 0u;
    }
    (void)main();
    fault(); /* main() ends by target_end() */
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

/* Nothing but reset and faults: NMI, HardFault, MemManage, BusFault, UsageFault. */
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = stack_top}, {reset}, {fault}, {fault}, {fault}, {fault}, {fault},
};
