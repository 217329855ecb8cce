#include "fe310_stack.h"

#include "fe310.h"

#ifndef FE310_HOST
extern volatile uint32_t __stack_bottom[]; /* of the linker script */

void fe310_stack_check(void)
{
    uint32_t word;

    for (word = 0u; word < FE310_STACK_GUARD_WORDS; ++word) {
        if (__stack_bottom[word] != (uint32_t)FE310_STACK_GUARD) {
            fe310_stop("the stack has reached its guard: it needs more than was reserved (custom_uc_nn_stack)");
        }
    }
}
#else
void fe310_stack_check(void)
{
}
#endif
