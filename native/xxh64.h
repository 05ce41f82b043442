/* XXH64, the 64-bit hash of the xxHash specification (version 0.1.1): the hash of events' payloads. */
#ifndef TIDEGATE_XXH64_H
#define TIDEGATE_XXH64_H

#include <stddef.h>
#include <stdint.h>

uint64_t tg_xxh64(const void *data, size_t size, uint64_t seed);

/* The hash of an event's payload: of a word of 8 bytes for each field in schema order, and one for the
 * client's time. A number's word is its float64 (-0 as +0), a category's the hash of its text, that of
 * what is missing TG_MISSING_WORD, which no number has. `words` has room for n + 1; the last is set here. */
#define TG_MISSING_WORD UINT64_C(0x7ff8000000000000)
uint64_t tg_number_word(double number); /* NaN: missing */
uint64_t tg_payload_hash(size_t n, uint64_t *words, double client_time);

#endif
