/* The last answers of a session, kept for retries, as the `answers` section of its record has them: a count,
 * a zero, a row for each (rules.h), oldest first, then for each its version (where it is not the record's)
 * and its bytes. */
#ifndef TIDEGATE_KEPT_H
#define TIDEGATE_KEPT_H

#include "record.h"
#include "rules.h"

/* All zeros: none. They lie at home, in memory that belongs to their session, as long as they fit there. */
typedef struct {
    uint8_t *data;
    uint32_t size, capacity; /* capacity 0: at home */
} tg_kept;

typedef struct {
    uint32_t answers;   /* how many are kept */
    size_t bytes;       /* and how many bytes of theirs; the last one always is */
    size_t answer_size; /* of each */
    size_t home;        /* bytes of the memory that each session has for them */
} tg_limits;

/* What a home has to hold: all of them; 0 where that is too much for every session to have. */
size_t tg_kept_home(const tg_limits *limits);

typedef struct {
    int64_t seq;
    uint64_t hash;
    double time;
    bool reset;
    tg_span version, answer;
} tg_kept_answer;

static inline size_t tg_kept_count(const tg_kept *kept) {
    return kept->size ? *(const uint32_t *)(const void *)kept->data : 0;
}

static inline const void *tg_kept_rows(const tg_kept *kept) { return kept->size ? kept->data + 8 : NULL; }

/* About what a malloc of them takes. */
static inline size_t tg_kept_bytes(const tg_kept *kept) {
    return kept->capacity ? kept->capacity + (size_t)16 : 0;
}

static inline void tg_kept_prefetch(const tg_kept *kept) {
    if (!kept->capacity) return; /* they come with their session */
    for (uint32_t at = 0; at < kept->size; at += 64) __builtin_prefetch(kept->data + at, 1);
}

void tg_kept_free(tg_kept *kept); /* and leaves none */
void tg_kept_clear(tg_kept *kept); /* keeps the memory */

/* Room for one answer more, within the limits; `alone`: for one after tg_kept_clear. 0, or -1: out of
 * memory. */
int tg_kept_reserve(tg_kept *kept, const tg_limits *limits, uint8_t *home, bool alone);

/* Adds an answer, for which there is room, and drops the oldest beyond the limits. */
void tg_kept_add(tg_kept *kept, const tg_limits *limits, int64_t seq, uint64_t hash, double time,
                 const void *answer, bool reset);

tg_kept_answer tg_kept_at(const tg_kept *kept, size_t i);

/* Whether each answer of a section that the codec has checked has that size. */
bool tg_kept_fits(tg_span section, size_t answer_size);

/* Copies such a section; answers without a version get this one. 0, or -1: out of memory. */
int tg_kept_load(tg_kept *kept, const tg_limits *limits, uint8_t *home, tg_span section, tg_span version);

#endif
