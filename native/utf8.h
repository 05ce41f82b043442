/* Whether bytes are UTF-8, as Python's strict decoder takes it: no surrogates, nothing overlong, nothing
 * beyond U+10FFFF. */
#ifndef TIDEGATE_UTF8_H
#define TIDEGATE_UTF8_H

#include <stdint.h>
#include <string.h>

static inline int tg_is_utf8(const uint8_t *at, size_t size) {
    const uint8_t *end = at + size;
    while (at < end) {
        if (end - at >= 8) { /* text is ASCII for the most part */
            uint64_t word;
            memcpy(&word, at, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += 8;
                continue;
            }
        }
        const uint8_t first = *at++;
        if (first < 0x80) continue;
        const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more) return 0;
        const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high) return 0;
        for (int i = 1; i < more; i++)
            if (at[i] < 0x80 || at[i] > 0xbf) return 0;
        at += more;
    }
    return 1;
}

#endif
