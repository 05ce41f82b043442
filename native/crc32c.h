/* CRC-32C (Castagnoli), as in RFC 3720 appendix B.4. */
#ifndef TIDEGATE_CRC32C_H
#define TIDEGATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over `length` bytes. */
uint32_t tg_crc32c(uint32_t crc, const uint8_t *data, size_t length);

#endif
