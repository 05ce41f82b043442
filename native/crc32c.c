#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define TG_HAVE_SSE42_PATH 1
#include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, bits reversed */

/* One table of 256 entries, made at load time: a byte a step. */
static uint32_t table[256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1u)));
        table[i] = crc;
    }
}

static uint32_t by_table(uint32_t crc, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xffu];
    return crc;
}

#ifdef TG_HAVE_SSE42_PATH
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *data,
                                                                 size_t length) {
    uint64_t wide = crc;
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; length > 0; data++, length--) crc = _mm_crc32_u8(crc, *data);
    return crc;
}
#endif

uint32_t tg_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
    crc = ~crc;
#ifdef TG_HAVE_SSE42_PATH
    if (__builtin_cpu_supports("sse4.2")) return ~by_instruction(crc, data, length);
#endif
    return ~by_table(crc, data, length);
}
