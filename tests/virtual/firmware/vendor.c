/*
 * A firmware with the habits of one built on the vendor's SDK: PLL set up field by field, interrupts left on with a trap
 * vector, UART sent by interrupts, byte stores to SPI registers, heap and a deep stack, code in RAM, traps that return.
 * CAMERA=1 adds the parts that need the camera; without it the program runs on QEMU's sifive_e as well.
 */
#include "camera.h"

#define PLIC(o) REG(0x0C000000u + (o))
enum { UART0_SOURCE = 3, TICK = 33 };

/* -- traps: every register in a frame, mepc and mstatus behind them, so that handlers may nest ---------------------- */
__asm__(
    ".section .text\n.balign 4\n.globl trap_vector\ntrap_vector:\n"
    "addi sp, sp, -144\n"
    ".irp r,1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "sw x\\r, \\r*4(sp)\n.endr\n"
    "csrr t0, mepc\nsw t0, 128(sp)\ncsrr t0, mstatus\nsw t0, 132(sp)\n"
    "csrr a0, mcause\nmv a1, sp\ncsrr a2, mtval\ncall handle\n"
    "lw t0, 132(sp)\ncsrw mstatus, t0\nlw t0, 128(sp)\ncsrw mepc, t0\n"
    ".irp r,1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "lw x\\r, \\r*4(sp)\n.endr\n"
    "addi sp, sp, 144\nmret\n");
extern char trap_vector[];
enum { FRAME_A0 = 10, FRAME_A1 = 11, FRAME_MEPC = 32 };

static char ring[64];
static volatile uint32_t head, tail, ticks, emulated, depth, deepest;

static void uart_interrupt(void) {
  while (tail != head && !(UART0(TXDATA) >> 31)) UART0(TXDATA) = (uint8_t)ring[tail++ % sizeof ring];
  if (tail == head) UART0(0x10) = 0;
}

static void timer_interrupt(void) {
  CLINT(0x4000) = MTIME + TICK;
  ticks++;
  CLINT(0) = 1; /* the software interrupt nests */
  __asm__ volatile("csrsi mstatus, 8\nnop\nnop\ncsrci mstatus, 8" ::: "memory");
}

static void emulate_load(uint32_t *frame, uint32_t address) {
  uint32_t instruction = *(const uint16_t *)frame[FRAME_MEPC] | (uint32_t)*(const uint16_t *)(frame[FRAME_MEPC] + 2) << 16;
  const uint8_t *bytes = (const uint8_t *)address;
  frame[instruction >> 7 & 31] =
      bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
  emulated++;
}

__attribute__((used)) void handle(uint32_t cause, uint32_t *frame, uint32_t value) {
  depth++;
  if (depth > deepest) deepest = depth;
  if (cause == 0x80000007u) timer_interrupt();
  else if (cause == 0x80000003u) CLINT(0) = 0;
  else if (cause == 0x8000000Bu) {
    uint32_t source = PLIC(0x200004);
    if (source == UART0_SOURCE) uart_interrupt();
    PLIC(0x200004) = source;
  } else if (cause == 11) { /* ecall: a0 = a0 + a1 */
    frame[FRAME_A0] += frame[FRAME_A1];
    frame[FRAME_MEPC] += 4;
  } else if (cause == 4) {
    emulate_load(frame, value);
    frame[FRAME_MEPC] += 4;
  } else {
    REG(0) = cause; /* nothing else may happen: stops */
  }
  depth--;
}

/* -- console: a ring that the UART's interrupt empties -------------------------------------------------------------- */
static void send(char c) {
  while (head - tail == sizeof ring) __asm__ volatile("wfi");
  ring[head % sizeof ring] = c;
  head++;
  UART0(0x10) = 1;
}
static void say(const char *s) {
  while (*s) send(*s++);
}
static void say_value(const char *name, uint32_t v) {
  say(name);
  send('=');
  for (int i = 28; i >= 0; i -= 4) send("0123456789abcdef"[v >> i & 15]);
  send('\n');
}

/* -- clock: one field after the other, then the wait in ticks and for the lock --------------------------------------- */
static void set_field(uint32_t mask, uint32_t value) {
  PRCI(8) &= ~mask;
  PRCI(8) |= value & mask;
}
static void pll_256_mhz(void) {
  if (PRCI(8) >> 16 & 1) PRCI(8) &= ~(1u << 16);
  PRCI(8) |= 1u << 17;
  set_field(7, 1);             /* r: / 2 */
  set_field(0x3F0, 31u << 4);  /* f: x 64 */
  set_field(0xC00, 1u << 10);  /* q: / 2 */
  PRCI(0xC) |= 1u << 8;
  PRCI(0xC) &= ~0x3Fu;
  PRCI(0xC) |= 1;
  PRCI(8) &= ~(1u << 18);
  uint32_t end = MTIME + 4;
  while ((int32_t)(MTIME - end) <= 0) {
  }
  while (!(PRCI(8) >> 31)) {
  }
  PRCI(8) |= 1u << 16;
}

/* -- heap and stack ------------------------------------------------------------------------------------------------- */
extern char _bss_end[];
static char *heap_end;
static void *take(uint32_t bytes) { /* sbrk */
  if (!heap_end) heap_end = _bss_end;
  char *block = heap_end;
  heap_end += (bytes + 7u) & ~7u;
  return block;
}
static __attribute__((noinline)) uint32_t deep(uint32_t level) { /* 10 frames of 1 KB */
  volatile uint32_t local[256];
  for (uint32_t i = 0; i < 256; i++) local[i] = level * i;
  uint32_t sum = level ? deep(level - 1) : 0;
  for (uint32_t i = 0; i < 256; i++) sum += local[i];
  return sum;
}

/* -- instructions --------------------------------------------------------------------------------------------------- */
static uint32_t call_machine(uint32_t a, uint32_t b) {
  register uint32_t a0 __asm__("a0") = a;
  register uint32_t a1 __asm__("a1") = b;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1) : "memory");
  return a0;
}
static uint32_t load_misaligned(const void *at) {
  uint32_t v;
  __asm__ volatile(".option push\n.option norvc\nlw %0, 1(%1)\n.option pop" : "=r"(v) : "r"(at) : "memory");
  return v;
}
static uint32_t (*written(uint32_t addend))(uint32_t) { /* addi a0, a0, addend; ret: made in RAM */
  static uint32_t code[2];
  code[0] = addend << 20 | 10u << 15 | 10u << 7 | 0x13;
  code[1] = 0x00008067;
  __asm__ volatile("fence.i" ::: "memory");
  return (uint32_t(*)(uint32_t))code;
}
static __attribute__((noinline)) uint32_t loop(uint32_t rounds) { /* instructions of every kind, nothing else */
  uint32_t x = 12345, sum = 0;
  uint32_t before, after;
  __asm__ volatile("csrci mstatus, 8\ncsrr %0, minstret" : "=r"(before)::"memory"); /* nothing interrupts the count */
  for (uint32_t i = 1; i <= rounds; i++) {
    x = x * 1103515245u + 12345u;
    sum += x / i ^ x % 7u;
    if (x & 0x10000u) sum -= i;
  }
  __asm__ volatile("csrr %0, minstret\ncsrsi mstatus, 8" : "=r"(after) : "r"(sum) : "memory");
  say_value("sum", sum);
  return after - before;
}

#if CAMERA
static uint8_t byte_by_byte(uint8_t out) { /* the SDK stores bytes, and writes a register that SPI1 has not */
  SPI1(0x60) = 0;
  while (SPI1(SPI_TX) >> 31) {
  }
  *(volatile uint8_t *)0x10024048u = out;
  uint32_t in;
  while ((in = SPI1(SPI_RX)) >> 31) {
  }
  return (uint8_t)in;
}
enum { BY_CSMODE, BY_CSDEF, BY_CSID };
static uint8_t arduchip(int way, uint8_t reg, uint8_t value) {
  SPI1(CSMODE) = way == BY_CSDEF ? 0 : 2;
  SPI1(CSID) = way == BY_CSDEF ? 1 : 0;
  if (way == BY_CSDEF) SPI1(CSDEF) &= ~1u;
  byte_by_byte(reg);
  value = byte_by_byte(value);
  if (way == BY_CSDEF) SPI1(CSDEF) |= 1u;
  if (way == BY_CSMODE) SPI1(CSMODE) &= ~3u;
  if (way == BY_CSID) SPI1(CSID) = 3;
  return value;
}
static void camera(void) {
  static const char *const names[] = {"csmode", "csdef", "csid"};
  spi_init(31, SELECT_HOLD);
  for (int way = 0; way < 3; way++) {
    arduchip(way, 0x80, (uint8_t)(0x51 + way));
    say_value(names[way], arduchip(way, 0x00, 0));
  }
  sccb_init();
  sensor_write(0xFF, 1);
  say_value("pid", (uint32_t)sensor_read(0x0A, 1)); /* repeated start */
}
#endif

int main(void) {
  pll_256_mhz();
  uart_init(256000000u);
  UART0(TXCTRL) = 1u << 16 | 1u; /* interrupt when fewer than one character waits */
  CSR_WRITE(mtvec, (uint32_t)trap_vector);
  PLIC(4 * UART0_SOURCE) = 1;
  PLIC(0x2000) |= 1u << UART0_SOURCE;
  PLIC(0x200000) = 0;
  CLINT(0x4004) = 0;
  CLINT(0x4000) = MTIME + TICK;
  CSR_SET(mie, 1u << 3 | 1u << 7 | 1u << 11);
  CSR_SET(mstatus, 1u << 3); /* and they stay on */

  say("vendor firmware: a line that is longer than the ring of 64 characters that its interrupt empties\n");
  uint32_t *words = take(400), *more = take(600);
  for (uint32_t i = 0; i < 100; i++) words[i] = i;
  for (uint32_t i = 0; i < 150; i++) more[i] = words[i % 100] * i;
  say_value("heap", more[149] + (uint32_t)((char *)more - (char *)words));
  say_value("stack", deep(9));
  say_value("ecall", call_machine(40, 2));
  static const uint32_t pair[2] = {0x44332211u, 0x88776655u};
  say_value("misaligned", load_misaligned(pair));
  say_value("patched", written(5)(1) * 256 + written(7)(1));
  uint32_t seen = ticks;
  while (ticks - seen < 3) __asm__ volatile("wfi");
  say("three ticks\n");
#if CAMERA
  camera();
#endif
  while (tail != head) __asm__ volatile("wfi");
  say_value("counted", loop(1000));
  say("done\n");
  for (;;) __asm__ volatile("wfi");
}
