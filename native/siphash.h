/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012;
 * the longer output as in its authors' reference). Whoever does not know the seed cannot make keys
 * collide. */
#ifndef TIDEGATE_SIPHASH_H
#define TIDEGATE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

void tg_siphash(const uint8_t seed[16], const uint8_t *data, size_t size, uint64_t hash[2]);

#endif
