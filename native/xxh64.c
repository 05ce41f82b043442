#include "xxh64.h"

#include <math.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are little-endian, and so is this code"
#endif

#define P1 UINT64_C(0x9e3779b185ebca87)
#define P2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define P3 UINT64_C(0x165667b19e3779f9)
#define P4 UINT64_C(0x85ebca77c2b2ae63)
#define P5 UINT64_C(0x27d4eb2f165667c5)

enum { STRIPE = 32, LANES = 4 };

static uint64_t rotated(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t lane(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t mixed(uint64_t sum, uint64_t word) { return rotated(sum + word * P2, 31) * P1; }

static uint64_t merged(uint64_t hash, uint64_t sum) { return (hash ^ mixed(0, sum)) * P1 + P4; }

uint64_t tg_xxh64(const void *data, size_t size, uint64_t seed) {
    const uint8_t *at = data;
    size_t left = size;
    uint64_t hash = seed + P5;
    if (left >= STRIPE) {
        uint64_t sums[LANES] = {seed + P1 + P2, seed + P2, seed, seed - P1};
        for (; left >= STRIPE; at += STRIPE, left -= STRIPE)
            for (int i = 0; i < LANES; i++) sums[i] = mixed(sums[i], lane(at + 8 * i));
        hash = rotated(sums[0], 1) + rotated(sums[1], 7) + rotated(sums[2], 12) + rotated(sums[3], 18);
        for (int i = 0; i < LANES; i++) hash = merged(hash, sums[i]);
    }
    hash += size;
    for (; left >= 8; at += 8, left -= 8) hash = rotated(hash ^ mixed(0, lane(at)), 27) * P1 + P4;
    if (left >= 4) {
        uint32_t half;
        memcpy(&half, at, sizeof half);
        hash = rotated(hash ^ half * P1, 23) * P2 + P3;
        at += 4;
        left -= 4;
    }
    for (; left > 0; at++, left--) hash = rotated(hash ^ *at * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}

uint64_t tg_number_word(double number) {
    if (isnan(number)) return TG_MISSING_WORD;
    number += 0.0; /* -0 becomes +0 */
    uint64_t word;
    memcpy(&word, &number, sizeof word);
    return word;
}

uint64_t tg_payload_hash(size_t n, uint64_t *words, double client_time) {
    words[n] = tg_number_word(client_time);
    return tg_xxh64(words, (n + 1) * sizeof *words, 0);
}
