/* Comes to an end, and has set the UART up before, as a program would. */
#include "fe310.h"

int main(void);

int main(void)
{
    return fe310_uart_init(115200u);
}
