#include "arena.h"
#include "pages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NONE UINT32_MAX
#define MAX_SLOTS (UINT32_MAX - 1) /* a cell holds slot + 1 in 32 bits */
#define CHUNK 64                   /* keys that are looked up together */
#define FIRST_INDEX_BITS 8
#define MOVED_A_STEP 16 /* cells; the old index is gone long before the new one is full */
#define SLAB_BYTES ((size_t)8 << 20)
#define LINE 64

_Static_assert(sizeof(tg_slot_header) == 24, "headers keep encoder states aligned");

/* Marks of a slot, dense so that the clock's hand walks over few lines. */
enum { LIVE = 1, RECENT = 2, GIVEN = 4 };

static size_t rounded(size_t size, size_t multiple) {
    return (size + multiple - 1) / multiple * multiple;
}

/* ---- Hashing ---- */

/* The 128-bit product of two numbers, folded: the step that wyhash and xxh3 are made of. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t read8(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t read4(const char *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* 32 bits of hash under a secret seed: whoever picks ids cannot know which will collide. */
static uint32_t hash(const tg_arena *arena, tg_key key) {
    const char *at = key.data, *end = key.data + key.size;
    uint64_t seed = arena->seed[0] ^ key.size, a, b;
    if (key.size > 16) {
        for (; end - at > 16; at += 16) seed = fold(read8(at) ^ arena->seed[1], read8(at + 8) ^ seed);
        a = read8(end - 16);
        b = read8(end - 8);
    } else if (key.size >= 8) {
        a = read8(at);
        b = read8(end - 8);
    } else if (key.size >= 4) {
        a = read4(at);
        b = read4(end - 4);
    } else { /* 1 to 3 bytes: the first, the middle one, the last */
        const uint8_t *byte = (const uint8_t *)at;
        a = (uint64_t)byte[0] << 16 | (uint64_t)byte[key.size / 2] << 8 | byte[key.size - 1];
        b = 0;
    }
    return (uint32_t)(fold(fold(a ^ arena->seed[1], b ^ seed), arena->seed[2]) >> 32);
}

/* ---- The index: linear probing, each entry as near to its home as those that came before allow
 * ("Robin Hood"); what is removed is closed up, so there are no tombstones. Homes are the hash's top
 * bits, so an index of twice the size has its entries in the same order: moving there is a walk along
 * both. ---- */

static inline size_t mask(const tg_index *index) { return ((size_t)1 << index->bits) - 1; }

static inline size_t home(const tg_index *index, uint32_t tag) { return tag >> (32 - index->bits); }

static inline uint32_t tag_of(uint64_t cell) { return (uint32_t)(cell >> 32); }

static inline int64_t slot_of(uint64_t cell) { return (int64_t)(uint32_t)cell - 1; }

/* How far from its home the entry of a cell is. */
static inline size_t distance(const tg_index *index, size_t at) {
    return (at - home(index, tag_of(index->cells[at]))) & mask(index);
}

static size_t index_bytes(const tg_index *index) {
    return index->cells ? sizeof(uint64_t) << index->bits : 0;
}

static int index_new(tg_index *index, unsigned bits) {
    if (bits > 32) return -1;
    index->bits = bits;
    index->cells = tg_map(sizeof(uint64_t) << bits, sizeof(uint64_t) << bits >= TG_HUGE_PAGE);
    return index->cells ? 0 : -1;
}

static void index_insert(tg_index *index, uint64_t cell) {
    size_t at = home(index, tag_of(cell)), far = 0;
    while (index->cells[at]) {
        const size_t its = distance(index, at);
        if (its < far) { /* this one is nearer to its home: it moves on instead */
            const uint64_t richer = index->cells[at];
            index->cells[at] = cell;
            cell = richer;
            far = its;
        }
        at = (at + 1) & mask(index);
        far++;
    }
    index->cells[at] = cell;
}

static void index_remove(tg_index *index, size_t at) {
    for (;;) {
        const size_t next = (at + 1) & mask(index);
        if (!index->cells[next] || distance(index, next) == 0) break;
        index->cells[at] = index->cells[next];
        at = next;
    }
    index->cells[at] = 0;
}

/* The index that holds a tag, while one may be growing into another. */
static inline const tg_index *index_for(const tg_arena *arena, uint32_t tag) {
    const tg_index *old = &arena->old;
    if (old->cells && ((home(old, tag) - arena->start) & mask(old)) >= arena->moved) return old;
    return &arena->index;
}

/* Where a search stands: the cell to look at, and how far it is from the tag's home. */
typedef struct {
    const tg_index *index;
    uint32_t tag;
    size_t at, far;
} search;

/* Walks to the next cell of the tag; its slot, or -1: there is none. */
static int64_t search_next(search *s) {
    for (;; s->at = (s->at + 1) & mask(s->index), s->far++) {
        const uint64_t cell = s->index->cells[s->at];
        if (!cell || distance(s->index, s->at) < s->far) return -1;
        if (tag_of(cell) == s->tag) return slot_of(cell);
    }
}

static search search_begin(const tg_arena *arena, uint32_t tag) {
    const tg_index *index = index_for(arena, tag);
    return (search){index, tag, home(index, tag), 0};
}

static void search_skip(search *s) {
    s->at = (s->at + 1) & mask(s->index);
    s->far++;
}

/* Moves some cells of the old index, up to an empty one: entries that stand behind it have their homes
 * there too, so a tag's home alone tells which index holds it. Once round, it goes on to the end of a
 * run that grew over `start` in the meantime. */
static void move_some(tg_arena *arena) {
    tg_index *old = &arena->old;
    const size_t size = mask(old) + 1;
    const size_t least = arena->moved + MOVED_A_STEP < size ? arena->moved + MOVED_A_STEP : size;
    for (;; arena->moved++) {
        uint64_t *cell = old->cells + ((arena->start + arena->moved) & mask(old));
        if (!*cell && arena->moved >= least) break;
        if (*cell) index_insert(&arena->index, *cell);
        *cell = 0;
    }
    if (arena->moved >= size) {
        tg_unmap(old->cells, index_bytes(old));
        old->cells = NULL;
    }
}

/* Makes room for one more entry. */
static int index_reserve(tg_arena *arena) {
    if (arena->old.cells) {
        move_some(arena);
        return 0;
    }
    if (arena->count < (mask(&arena->index) + 1) / 4 * 3) return 0;
    tg_index larger;
    if (index_new(&larger, arena->index.bits + 1)) return -1;
    arena->old = arena->index;
    arena->index = larger;
    arena->start = arena->moved = 0;
    while (arena->old.cells[(arena->start - 1) & mask(&arena->old)]) arena->start++; /* a run's start */
    return 0;
}

/* ---- Slots ---- */

static inline uint8_t *marks(const tg_arena *arena, int64_t slot) {
    return tg_arena_slab(arena, slot) + arena->marks_at + tg_arena_within(arena, slot);
}

static size_t slab_bytes(const tg_arena *arena) {
    return arena->marks_at + ((size_t)1 << arena->slab_bits);
}

tg_key tg_arena_key(const tg_arena *arena, int64_t slot) {
    const tg_slot_header *header = tg_arena_header(arena, slot);
    tg_key key = {header->key, header->key_size};
    if (key.size > TG_INLINE_KEY) memcpy(&key.data, header->key, sizeof key.data);
    return key;
}

/* About what a malloc of the key takes. */
static size_t long_key_bytes(size_t size) { return size > TG_INLINE_KEY ? rounded(size + 8, 16) : 0; }

static int add_slab(tg_arena *arena) {
    if ((arena->n_slabs + 1) << arena->slab_bits > MAX_SLOTS) return -1;
    if (arena->n_slabs == arena->slabs_capacity) {
        const size_t capacity = arena->slabs_capacity ? 2 * arena->slabs_capacity : 16;
        uint8_t **slabs = realloc(arena->slabs, capacity * sizeof *slabs);
        if (!slabs) return -1;
        arena->slabs = slabs;
        arena->slabs_capacity = capacity;
    }
    /* Huge pages from the second slab on: a small arena stays small. */
    uint8_t *slab = tg_map(slab_bytes(arena), arena->n_slabs > 0);
    if (!slab) return -1;
    arena->slabs[arena->n_slabs++] = slab;
    return 0;
}

/* Begins a session that is not there; its slot, or -1 with nothing changed. */
static int64_t begin(tg_arena *arena, tg_key key, uint32_t tag) {
    if (index_reserve(arena)) return -1;
    const int reused = arena->free != NONE;
    if (!reused && arena->high_water == arena->n_slabs << arena->slab_bits && add_slab(arena)) return -1;
    char *copy = NULL;
    if (key.size > TG_INLINE_KEY && !(copy = malloc(key.size))) return -1;

    const int64_t slot = reused ? (int64_t)arena->free : (int64_t)arena->high_water;
    tg_slot_header *header = tg_arena_header(arena, slot);
    if (reused) {
        memcpy(&arena->free, header->key, sizeof arena->free);
        memset(tg_arena_hidden(arena, slot), 0, arena->hidden_stride);
    } else {
        arena->high_water++; /* the slab's memory is zero */
    }
    if (arena->initial)
        memcpy(tg_arena_hidden(arena, slot), arena->initial, arena->hidden_size * sizeof(float));
    header->key_size = (uint16_t)key.size;
    if (copy) {
        memcpy(copy, key.data, key.size);
        memcpy(header->key, &copy, sizeof copy);
        arena->long_key_bytes += long_key_bytes(key.size);
    } else {
        memcpy(header->key, key.data, key.size);
    }
    memset(tg_arena_extra(arena, slot), 0, arena->extra_size);
    double *encoder = tg_arena_encoder(arena, slot);
    for (size_t i = 0; i < arena->encoder_size; i++) encoder[i] = NAN;
    *marks(arena, slot) = LIVE;
    index_insert((tg_index *)index_for(arena, tag), (uint64_t)tag << 32 | (uint32_t)(slot + 1));
    arena->count++;
    return slot;
}

void tg_arena_drop(tg_arena *arena, int64_t slot) {
    const tg_key key = tg_arena_key(arena, slot);
    search s = search_begin(arena, hash(arena, key));
    while (search_next(&s) != slot) search_skip(&s);
    index_remove((tg_index *)s.index, s.at);
    if (key.size > TG_INLINE_KEY) {
        arena->long_key_bytes -= long_key_bytes(key.size);
        free((char *)key.data);
    }
    *marks(arena, slot) = 0;
    memcpy(tg_arena_header(arena, slot)->key, &arena->free, sizeof arena->free);
    arena->free = (uint32_t)slot;
    arena->count--;
}

/* ---- Looking up ---- */

static int is_key(const tg_arena *arena, int64_t slot, tg_key key) {
    const tg_key its = tg_arena_key(arena, slot);
    return its.size == key.size && memcmp(its.data, key.data, key.size) == 0;
}

/* Goes on with a search from the slot it has found, to the slot of that key or -1. */
static int64_t search_key(const tg_arena *arena, search *s, int64_t slot, tg_key key) {
    while (slot >= 0 && !is_key(arena, slot, key)) {
        search_skip(s);
        slot = search_next(s);
    }
    return slot;
}

/* Up to CHUNK keys, a stage at a time, so that the memory of all of them is fetched at once. */
static void find_chunk(const tg_arena *arena, size_t n, const tg_key *keys, int64_t *slots,
                       uint32_t *tags) {
    search searches[CHUNK];
    for (size_t i = 0; i < n; i++) __builtin_prefetch(keys[i].data);
    for (size_t i = 0; i < n; i++) {
        tags[i] = hash(arena, keys[i]);
        searches[i] = search_begin(arena, tags[i]);
        __builtin_prefetch(searches[i].index->cells + searches[i].at);
    }
    for (size_t i = 0; i < n; i++) {
        slots[i] = search_next(&searches[i]);
        if (slots[i] < 0) continue;
        /* The slot that the hash points to is nearly always the right one: its key, and what the caller looks
         * at first, may come. */
        __builtin_prefetch(tg_arena_header(arena, slots[i]), 1);
        __builtin_prefetch((const char *)tg_arena_header(arena, slots[i]) + LINE, 1);
    }
    for (size_t i = 0; i < n; i++) slots[i] = search_key(arena, &searches[i], slots[i], keys[i]);
}

void tg_arena_find(const tg_arena *arena, size_t n, const tg_key *keys, int64_t *slots) {
    uint32_t tags[CHUNK];
    for (size_t i = 0; i < n; i += CHUNK)
        find_chunk(arena, n - i < CHUNK ? n - i : CHUNK, keys + i, slots + i, tags);
}

int tg_arena_take(tg_arena *arena, size_t n, const tg_key *keys, int64_t *slots, uint8_t *fresh) {
    uint32_t tags[CHUNK];
    if (arena->old.cells) move_some(arena); /* growth ends even where no session begins any more */
    for (size_t from = 0; from < n; from += CHUNK) {
        const size_t size = n - from < CHUNK ? n - from : CHUNK;
        find_chunk(arena, size, keys + from, slots + from, tags);
        for (size_t k = 0; k < size; k++) {
            const size_t i = from + k;
            fresh[i] = 0;
            if (slots[i] >= 0) continue;
            search s = search_begin(arena, tags[k]); /* an earlier event may have begun it */
            slots[i] = search_key(arena, &s, search_next(&s), keys[i]);
            if (slots[i] >= 0) continue;
            slots[i] = begin(arena, keys[i], tags[k]);
            if (slots[i] < 0) {
                for (size_t j = i; j-- > 0;) {
                    if (fresh[j]) tg_arena_drop(arena, slots[j]);
                    fresh[j] = 0;
                }
                return -1;
            }
            fresh[i] = 1;
        }
    }
    for (size_t i = 0; i < n; i++) *marks(arena, slots[i]) |= RECENT;
    return 0;
}

/* ---- Cold slots ---- */

size_t tg_arena_coldest(tg_arena *arena, size_t n, int64_t *slots) {
    size_t found = 0;
    for (size_t left = 2 * arena->high_water; left > 0 && found < n; left--) {
        const int64_t slot = (int64_t)arena->hand;
        arena->hand = arena->hand + 1 == arena->high_water ? 0 : arena->hand + 1;
        uint8_t *mark = marks(arena, slot);
        if (*mark == LIVE) {
            *mark |= GIVEN; /* the second round must not give it again */
            slots[found++] = slot;
        }
        *mark &= (uint8_t)~RECENT;
    }
    for (size_t i = 0; i < found; i++) *marks(arena, slots[i]) &= (uint8_t)~GIVEN;
    return found;
}

/* ---- The whole ---- */

tg_arena *tg_arena_new(size_t hidden_size, size_t encoder_size, size_t extra, const float *initial) {
    tg_arena *arena = calloc(1, sizeof *arena);
    if (!arena) return NULL;
    const size_t bytes = hidden_size * sizeof(float);
    if (getrandom(arena->seed, sizeof arena->seed, 0) != (ssize_t)sizeof arena->seed ||
        (initial && !(arena->initial = malloc(bytes))) || index_new(&arena->index, FIRST_INDEX_BITS)) {
        free(arena->initial);
        free(arena);
        return NULL;
    }
    if (initial) memcpy(arena->initial, initial, bytes);
    arena->hidden_size = hidden_size;
    arena->encoder_size = encoder_size;
    arena->hidden_stride = rounded(hidden_size * sizeof(float), LINE);
    arena->extra_size = rounded(extra, sizeof(double));
    arena->tail_stride = sizeof(tg_slot_header) + arena->extra_size + encoder_size * sizeof(double);
    arena->slot_stride = rounded(arena->hidden_stride + arena->tail_stride, LINE);
    while (arena->slot_stride + 1 < SLAB_BYTES >> arena->slab_bits) arena->slab_bits++;
    arena->marks_at = arena->slot_stride << arena->slab_bits;
    arena->free = NONE;
    return arena;
}

void tg_arena_free(tg_arena *arena) {
    if (!arena) return;
    for (size_t slot = 0; slot < arena->high_water && arena->long_key_bytes; slot++)
        if (*marks(arena, (int64_t)slot) & LIVE) {
            const tg_key key = tg_arena_key(arena, (int64_t)slot);
            if (key.size > TG_INLINE_KEY) free((char *)key.data);
        }
    for (size_t i = 0; i < arena->n_slabs; i++) tg_unmap(arena->slabs[i], slab_bytes(arena));
    tg_unmap(arena->index.cells, index_bytes(&arena->index));
    tg_unmap(arena->old.cells, index_bytes(&arena->old));
    free(arena->slabs);
    free(arena->initial);
    free(arena);
}

size_t tg_arena_bytes(const tg_arena *arena) {
    return sizeof *arena + arena->slabs_capacity * sizeof *arena->slabs + index_bytes(&arena->index) +
           index_bytes(&arena->old) + arena->long_key_bytes +
           (arena->initial ? arena->hidden_size * sizeof(float) : 0) +
           arena->count * (arena->slot_stride + 1);
}
