/* Where the newest frame of each key lies: a hash table in memory, 32 bytes an entry.
 *
 * It is cut into shards that grow one by one, so that no call takes long. A key stays in its shard,
 * which lets a walk over the shards see every key once while others change.
 */
#ifndef TIDEGATE_LOG_INDEX_H
#define TIDEGATE_LOG_INDEX_H

#include <stddef.h>
#include <stdint.h>

enum { TG_SHARDS = 256 };

typedef struct {
    uint64_t hash[2];
    uint32_t segment;
    uint32_t place; /* in the segment, in units of 8 bytes */
    uint32_t size;  /* of the frame, in units of 8 bytes; 0: no entry */
    uint32_t kind;  /* tg_frame_kind */
} tg_entry;

typedef struct {
    tg_entry *entries;
    size_t capacity, n; /* capacity: a power of two, or 0 */
} tg_shard;

typedef struct {
    tg_shard shards[TG_SHARDS];
} tg_index; /* empty: all zeros */

static inline unsigned tg_shard_of(const uint64_t hash[2]) { return (unsigned)(hash[0] >> 56); }

void tg_index_free(tg_index *index); /* and leaves it empty */

/* Makes room for further keys, so many in each shard. 0, or -1: out of memory, and nothing is lost. */
int tg_index_reserve(tg_index *index, const uint32_t more[TG_SHARDS]);

/* The entry of a key, or NULL. It is valid until the index changes. */
tg_entry *tg_index_find(const tg_index *index, const uint64_t hash[2]);

/* The entry of a key; a new one has size 0, which the caller changes. There is room (reserve). */
tg_entry *tg_index_put(tg_index *index, const uint64_t hash[2]);

void tg_index_remove(tg_index *index, tg_entry *entry);

static inline void tg_index_prefetch(const tg_index *index, const uint64_t hash[2]) {
    const tg_shard *shard = &index->shards[tg_shard_of(hash)];
    if (shard->capacity) __builtin_prefetch(&shard->entries[hash[1] & (shard->capacity - 1)]);
}

#endif
