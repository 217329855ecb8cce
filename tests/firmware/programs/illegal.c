/* All zeros is no instruction. */
int main(void);

int main(void)
{
    __asm__ volatile(".word 0");
    return 0;
}
