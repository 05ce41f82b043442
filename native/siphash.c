#include "siphash.h"

#include <string.h>

typedef struct {
    uint64_t v0, v1, v2, v3;
} state;

static uint64_t rotated(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

static void rounds(state *s, int n) {
    while (n--) {
        s->v0 += s->v1, s->v1 = rotated(s->v1, 13) ^ s->v0, s->v0 = rotated(s->v0, 32);
        s->v2 += s->v3, s->v3 = rotated(s->v3, 16) ^ s->v2;
        s->v0 += s->v3, s->v3 = rotated(s->v3, 21) ^ s->v0;
        s->v2 += s->v1, s->v1 = rotated(s->v1, 17) ^ s->v2, s->v2 = rotated(s->v2, 32);
    }
}

static void take(state *s, uint64_t word) {
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

static uint64_t folded(const state *s) { return s->v0 ^ s->v1 ^ s->v2 ^ s->v3; }

/* Words are read as the machine has them: little-endian, as all of tidegate's formats. */
void tg_siphash(const uint8_t seed[16], const uint8_t *data, size_t size, uint64_t hash[2]) {
    uint64_t k[2], word;
    memcpy(k, seed, sizeof k);
    state s = {k[0] ^ 0x736f6d6570736575u, k[1] ^ 0x646f72616e646f6du ^ 0xee,
               k[0] ^ 0x6c7967656e657261u, k[1] ^ 0x7465646279746573u};
    size_t left = size;
    for (; left >= 8; data += 8, left -= 8) {
        memcpy(&word, data, 8);
        take(&s, word);
    }
    word = 0;
    if (left) memcpy(&word, data, left);
    take(&s, word | (uint64_t)size << 56);
    s.v2 ^= 0xee;
    rounds(&s, 4);
    hash[0] = folded(&s);
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    hash[1] = folded(&s);
}
