"""The FE310's peripherals, one file each."""
