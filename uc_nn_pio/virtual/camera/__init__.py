"""The ArduCAM Mini 2MP: an OV2640 sensor behind SCCB and the ArduChip with its frame FIFO behind SPI."""
