/*
 * libgcc's __clzsi2, which soft-float addition calls, looks every byte up in a table in flash: a wait of up to 550 core
 * cycles, since the FE310 has no data cache. This one takes a few instructions and is linked in its place.
 */
int __clzsi2(unsigned int value);

/* Leading zero bits of a value that is not 0. */
int __clzsi2(unsigned int value)
{
    int zeros = 0;

    if (value < 0x10000u) {
        zeros += 16;
        value <<= 16;
    }
    if (value < 0x1000000u) {
        zeros += 8;
        value <<= 8;
    }
    if (value < 0x10000000u) {
        zeros += 4;
        value <<= 4;
    }
    if (value < 0x40000000u) {
        zeros += 2;
        value <<= 2;
    }
    return value < 0x80000000u ? zeros + 1 : zeros;
}
