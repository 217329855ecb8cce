#include "fe310_spi.h"

#include "fe310.h"

#define SPI1_PIN_SS0 2u
#define SPI1_PIN_MOSI 3u
#define SPI1_PIN_MISO 4u
#define SPI1_PIN_SCK 5u
#define SPI1_PIN_SS2 9u
#define SPI1_PIN_SS3 10u
#define SPI_FIFO_DEPTH 8u
#define SPI_IDLE_HIGH 0xFu    /* csdef: all four selects rest at 1 */
#define BYTE_TIMEOUT_US 1000u /* a byte at 100 kHz takes 80 us */

uint32_t fe310_spi_divider(uint32_t core_hz, uint32_t sck_hz)
{
    uint32_t half_periods = (core_hz + 2u * sck_hz - 1u) / (2u * sck_hz);

    return half_periods > 0u ? half_periods - 1u : 0u;
}

static int chip_select_of(uint32_t pin, uint32_t *csid)
{
    switch (pin) {
    case SPI1_PIN_SS0:
        *csid = 0u;
        return FE310_OK;
    case SPI1_PIN_SS2:
        *csid = 2u;
        return FE310_OK;
    case SPI1_PIN_SS3:
        *csid = 3u;
        return FE310_OK;
    default:
        return FE310_ERROR_SPI_PIN;
    }
}

int fe310_spi1_init(uint32_t cs_pin, uint32_t sck_hz)
{
    uint32_t csid;
    uint32_t stale;

    if (chip_select_of(cs_pin, &csid) != FE310_OK) {
        return FE310_ERROR_SPI_PIN;
    }
    fe310_write(SPI1_IE, 0u);
    fe310_write(SPI1_CSMODE, SPI_CSMODE_AUTO);
    fe310_write(SPI1_CSDEF, SPI_IDLE_HIGH);
    fe310_write(SPI1_CSID, csid);
    fe310_write(SPI1_SCKMODE, 0u);
    fe310_write(SPI1_SCKDIV, fe310_spi_divider(fe310_core_hz(), sck_hz));
    fe310_write(SPI1_FMT, SPI_FMT_LEN(8));
    for (stale = 0u; stale < SPI_FIFO_DEPTH; ++stale) {
        if ((fe310_read(SPI1_RXDATA) & SPI_RXDATA_EMPTY) != 0u) {
            break;
        }
    }
    fe310_gpio_function(cs_pin);
    fe310_gpio_function(SPI1_PIN_MOSI);
    fe310_gpio_function(SPI1_PIN_MISO);
    fe310_gpio_function(SPI1_PIN_SCK);
    return FE310_OK;
}

void fe310_spi1_select(void)
{
    fe310_write(SPI1_CSMODE, SPI_CSMODE_HOLD);
}

void fe310_spi1_release(void)
{
    fe310_write(SPI1_CSMODE, SPI_CSMODE_AUTO);
}

int fe310_spi1_transfer(uint8_t byte)
{
    struct fe310_timeout timeout;

    /* At most one byte is ever under way, so the transmit FIFO cannot be full unless the device is stuck. */
    if ((fe310_read(SPI1_TXDATA) & SPI_TXDATA_FULL) != 0u) {
        return FE310_ERROR_SPI;
    }
    fe310_write(SPI1_TXDATA, byte);
    timeout = fe310_timeout_in(BYTE_TIMEOUT_US);
    for (;;) {
        uint32_t received = fe310_read(SPI1_RXDATA);

        if ((received & SPI_RXDATA_EMPTY) == 0u) {
            return (int)(received & 0xFFu);
        }
        if (fe310_timeout_over(&timeout)) {
            return FE310_ERROR_SPI;
        }
    }
}
