"""Prints how many bytes of RAM and of flash an ELF file takes: ``uc_nn_size.py FIRMWARE.elf RAM_START RAM_END``.

RAM is every allocated section whose address lies in RAM, initialised or not: ``.stack`` (NOLOAD) and code placed in RAM
count, which Berkeley ``size`` would miss. Flash is every loaded byte, the images of those RAM sections included.
Standard library only, ELF32 little endian.
"""

import struct
import sys

SHF_ALLOC = 0x2
SHT_NOBITS = 8


def sizes(data, ram_start, ram_end):
    """Return ``(ram_bytes, flash_bytes)`` of the ELF image ``data``."""
    if data[:6] != b"\x7fELF\x01\x01":
        raise ValueError("not a 32-bit little-endian ELF file")
    table = struct.unpack_from("<I", data, 32)[0]
    entry_size, count = struct.unpack_from("<HH", data, 46)
    ram = flash = 0
    for index in range(count):
        kind, flags, address, _offset, size = struct.unpack_from("<IIIII", data, table + index * entry_size + 4)
        if not flags & SHF_ALLOC:
            continue
        if ram_start <= address < ram_end:
            ram += size
        if kind != SHT_NOBITS:
            flash += size
    return ram, flash


def main(arguments):
    path, start, end = arguments
    with open(path, "rb") as file:
        ram, flash = sizes(file.read(), int(start, 0), int(end, 0))
    print(f"ram {ram}\nflash {flash}")


if __name__ == "__main__":
    main(sys.argv[1:])
