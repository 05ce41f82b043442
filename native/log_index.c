#include "log_index.h"

#include <stdlib.h>
#include <string.h>

void tg_index_free(tg_index *index) {
    for (size_t i = 0; i < TG_SHARDS; i++) free(index->shards[i].entries);
    memset(index, 0, sizeof *index);
}

/* The entry of a key, or the empty place where it belongs. There is always an empty one. */
static tg_entry *place_of(const tg_shard *shard, const uint64_t hash[2]) {
    for (size_t i = hash[1];; i++) {
        tg_entry *entry = &shard->entries[i & (shard->capacity - 1)];
        if (!entry->size || (entry->hash[0] == hash[0] && entry->hash[1] == hash[1])) return entry;
    }
}

static int grow(tg_shard *shard, size_t capacity) {
    tg_shard grown = {calloc(capacity, sizeof(tg_entry)), capacity, shard->n};
    if (!grown.entries) return -1;
    for (size_t i = 0; i < shard->capacity; i++)
        if (shard->entries[i].size) *place_of(&grown, shard->entries[i].hash) = shard->entries[i];
    free(shard->entries);
    *shard = grown;
    return 0;
}

int tg_index_reserve(tg_index *index, const uint32_t more[TG_SHARDS]) {
    for (size_t i = 0; i < TG_SHARDS; i++) {
        tg_shard *shard = &index->shards[i];
        size_t capacity = shard->capacity ? shard->capacity : 16;
        while ((shard->n + more[i]) * 4 > capacity * 3) capacity *= 2;
        if (more[i] && capacity > shard->capacity && grow(shard, capacity)) return -1;
    }
    return 0;
}

tg_entry *tg_index_find(const tg_index *index, const uint64_t hash[2]) {
    const tg_shard *shard = &index->shards[tg_shard_of(hash)];
    if (!shard->n) return NULL;
    tg_entry *entry = place_of(shard, hash);
    return entry->size ? entry : NULL;
}

tg_entry *tg_index_put(tg_index *index, const uint64_t hash[2]) {
    tg_shard *shard = &index->shards[tg_shard_of(hash)];
    tg_entry *entry = place_of(shard, hash);
    if (!entry->size) {
        shard->n++;
        entry->hash[0] = hash[0];
        entry->hash[1] = hash[1];
    }
    return entry;
}

/* Entries behind the gap move up into it (Knuth 6.4, algorithm R), so that none needs a mark. */
void tg_index_remove(tg_index *index, tg_entry *entry) {
    tg_shard *shard = &index->shards[tg_shard_of(entry->hash)];
    const size_t mask = shard->capacity - 1;
    size_t gap = (size_t)(entry - shard->entries);
    for (size_t i = (gap + 1) & mask; shard->entries[i].size; i = (i + 1) & mask) {
        const size_t home = shard->entries[i].hash[1] & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            shard->entries[gap] = shard->entries[i];
            gap = i;
        }
    }
    memset(&shard->entries[gap], 0, sizeof(tg_entry));
    shard->n--;
}
