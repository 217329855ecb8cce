/*
 * Start-up of a Cortex-M: the vector table, and what main() expects of memory.
 *
 * This file is yours: use, change and pass it on without conditions.
 */
#if defined(__arm__)

#include <stdint.h>

#include "bare.h"

extern uint32_t __stack_top[], __uc_nn_ram_start[], __uc_nn_ram_end[], __uc_nn_ram_load[];
extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];

int main(void);
void _start(void);
void bare_fault(void);

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

static void copy(uint32_t *to, const uint32_t *end, const uint32_t *from)
{
    while (to < end) {
        *to++ = *from++;
    }
}

/* Any fault, and any interrupt that nobody asked for. */
void bare_fault(void)
{
    bare_print("\nfault\n");
    bare_exit(1);
}

void _start(void)
{
    copy(__uc_nn_ram_start, __uc_nn_ram_end, __uc_nn_ram_load);
    copy(__data_start, __data_end, __data_load);
    for (uint32_t *to = __bss_start; to < __bss_end; ++to) {
        *to = 0u;
    }
    bare_exit(main());
}

/* Initial stack, reset, NMI, HardFault, MemManage, BusFault, UsageFault, reserved, SVCall, ..., SysTick. */
extern const vector vectors[16];
__attribute__((section(".text.init"), used)) const vector vectors[16] = {
    {.stack = __stack_top}, {_start},       {bare_fault}, {bare_fault}, {bare_fault}, {bare_fault}, {bare_fault}, {0},
    {0},                    {0},            {0},          {bare_fault}, {bare_fault}, {0},          {bare_fault}, {bare_fault},
};

#endif
