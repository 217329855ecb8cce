/* main() of the stand-in: the sketch's setup, ten turns of its loop, the end. */
#include "Arduino.h"

StandInSerial Serial;

unsigned long micros()
{
    static unsigned long now = 0;

    return now += 100;
}

void delay(unsigned long) {}

extern "C" int main()
{
    setup();
    for (int turn = 0; turn < 10; turn++) {
        loop();
    }
    return 0;
}
