/* The sessions of an engine: a hash table from session key to a slot that holds the session's memory.
 *
 * A slot is a small integer that stays the same until its session is dropped; then it is used again.
 * Its memory never moves: slots live in slabs of some MiB, and growth adds a slab. The index (key to
 * slot) grows a few entries a call, so no call copies the world.
 *
 * What a session costs besides its hidden state (padded to 64 bytes) and its encoder state: 25 bytes,
 * which hold a key of up to TG_INLINE_KEY bytes (a longer one is a malloc of its own), what pads all of
 * that to a multiple of 64, and 11 to 21 bytes of index, 32 while it grows.
 *
 * Not thread-safe: the owner locks. Slots and sizes are trusted.
 */
#ifndef TIDEGATE_ARENA_H
#define TIDEGATE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define TG_KEY_MAX 512
#define TG_INLINE_KEY 22

/* A session id: 1 to TG_KEY_MAX bytes of any value. */
typedef struct {
    const char *data;
    size_t size;
} tg_key;

/* What stands before a slot's extra bytes and its encoder state. */
typedef struct {
    uint16_t key_size;
    char key[TG_INLINE_KEY]; /* or a pointer to a longer one; of a free slot, the next free one */
} tg_slot_header;

/* Cells of the index: 32 bits of hash above, slot + 1 below; 0 is an empty one. */
typedef struct {
    uint64_t *cells;
    unsigned bits; /* 2^bits cells */
} tg_index;

/* Private, but for the inline functions below. */
typedef struct tg_arena {
    size_t hidden_size, encoder_size;
    size_t extra_size; /* bytes, a multiple of 8 */
    float *initial;    /* the hidden state with which a session begins; NULL: zeros */
    /* A slab: 2^slab_bits slots, each a hidden state, a header, extra bytes and an encoder state, in one
     * place: each further page that an event touches is one more walk to its address. Then their marks. */
    unsigned slab_bits;
    size_t hidden_stride, tail_stride, slot_stride, marks_at; /* bytes */
    uint8_t **slabs;
    size_t n_slabs, slabs_capacity;

    size_t count;      /* sessions */
    size_t high_water; /* slots that were ever in use */
    uint32_t free;     /* the first free slot below high_water */
    size_t hand; /* of the clock that finds cold slots */
    size_t long_key_bytes;

    uint64_t seed[3];
    tg_index index;
    tg_index old; /* its first `moved` cells from `start` on, circularly, are in `index` by now */
    size_t start, moved;
} tg_arena;

/* For states of so many floats and doubles, and `extra` bytes a slot that belong to the caller. `initial` is
 * copied: the hidden state with which sessions begin; NULL: zeros. NULL: out of memory, or no random seed to
 * be had. */
tg_arena *tg_arena_new(size_t hidden_size, size_t encoder_size, size_t extra, const float *initial);
void tg_arena_free(tg_arena *arena);

static inline size_t tg_arena_count(const tg_arena *arena) { return arena->count; }

/* Bytes of memory in use: whole index, slots in use (those that were stay for others), long keys. */
size_t tg_arena_bytes(const tg_arena *arena);

/* The slot of each key; -1: unknown. What stands first in the slots is on its way into the cache. */
void tg_arena_find(const tg_arena *arena, size_t n, const tg_key *keys, int64_t *slots);

/* As tg_arena_find, but unknown sessions begin: hidden as `initial` says, extra zeros, encoder NaN. fresh[i]
 * is 1 where event i began its session, else 0. A key may occur several times. All become recent.
 * 0, or -1: out of memory, and nothing has changed. */
int tg_arena_take(tg_arena *arena, size_t n, const tg_key *keys, int64_t *slots, uint8_t *fresh);

void tg_arena_drop(tg_arena *arena, int64_t slot);

/* Writes up to n slots in use, coldest first, and returns how many. A clock: slots that were not taken since its hand last passed come before those that were, and the hand forgives one visit a
 * round. A call walks over every slot twice at most. */
size_t tg_arena_coldest(tg_arena *arena, size_t n, int64_t *slots);

/* Valid until the session is dropped. */
tg_key tg_arena_key(const tg_arena *arena, int64_t slot);

static inline uint8_t *tg_arena_slab(const tg_arena *arena, int64_t slot) {
    return arena->slabs[slot >> arena->slab_bits];
}

static inline size_t tg_arena_within(const tg_arena *arena, int64_t slot) {
    return (size_t)slot & (((size_t)1 << arena->slab_bits) - 1);
}

/* 64-byte aligned, padded with zeros to a multiple of 16 floats. */
static inline float *tg_arena_hidden(const tg_arena *arena, int64_t slot) {
    uint8_t *slab = tg_arena_slab(arena, slot);
    return (float *)(void *)(slab + tg_arena_within(arena, slot) * arena->slot_stride);
}

static inline tg_slot_header *tg_arena_header(const tg_arena *arena, int64_t slot) {
    return (tg_slot_header *)(void *)((uint8_t *)tg_arena_hidden(arena, slot) + arena->hidden_stride);
}

static inline double *tg_arena_encoder(const tg_arena *arena, int64_t slot) {
    return (double *)(void *)((uint8_t *)(tg_arena_header(arena, slot) + 1) + arena->extra_size);
}

/* 8-byte aligned. What it holds when its session is dropped is the caller's to free before. */
static inline void *tg_arena_extra(const tg_arena *arena, int64_t slot) {
    return tg_arena_header(arena, slot) + 1;
}

/* Brings a slot's memory into the cache. */
static inline void tg_arena_prefetch(const tg_arena *arena, int64_t slot) {
    const char *tail = (const char *)tg_arena_header(arena, slot);
    const char *hidden = (const char *)tg_arena_hidden(arena, slot);
    for (size_t at = 0; at < arena->tail_stride; at += 64) __builtin_prefetch(tail + at, 1);
    __builtin_prefetch(tail + arena->tail_stride - 1, 1);
    for (size_t at = 0; at < arena->hidden_stride; at += 64) __builtin_prefetch(hidden + at, 1, 2);
}

#endif
