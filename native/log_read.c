/* Reading a log: by key, by shard, by segment. The index says where; the disk is read without its lock,
 * and a segment that is cut away meanwhile stays open until then. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_internal.h"
#include "siphash.h"

typedef struct {
    tg_segment *segment; /* NULL: the key has no value */
    uint64_t offset, size;
} found_at;

static found_at enter(const tg_log *log, const tg_entry *entry) {
    tg_segment *segment = entry ? tg_segment_of(log, entry->segment) : NULL;
    if (!segment) return (found_at){0};
    segment->users++;
    return (found_at){segment, (uint64_t)entry->place * 8, (uint64_t)entry->size * 8};
}

static void leave(tg_log *log, const found_at *places, size_t n) {
    pthread_mutex_lock(&log->index_lock);
    for (size_t i = 0; i < n; i++)
        if (places[i].segment) tg_segment_leave(places[i].segment);
    pthread_mutex_unlock(&log->index_lock);
}

/* Appends a frame to the buffer. */
static tg_log_code read_frame(const tg_log *log, const found_at *place, tg_buffer *data,
                              tg_log_error *error) {
    char name[32];
    tg_segment_name(name, place->segment->number, "log");
    if (tg_grow(&data->data, &data->capacity, data->size + place->size, 1))
        return tg_log_fail(error, TG_LOG_IO, ENOMEM, "reading %s", name);
    uint8_t *at = data->data + data->size;
    const int number = tg_read_at(place->segment->file, at, place->size, place->offset);
    if (number && number != EBADMSG) return tg_log_fail(error, TG_LOG_IO, number, "reading %s", name);
    const tg_frame *frame = number ? NULL : tg_frame_at(log, place->segment->number, at, place->size);
    if (!frame || tg_whole_size(frame) != place->size)
        return tg_log_fail(error, TG_LOG_DAMAGED, 0, "%s at byte %llu: a frame is damaged", name,
                           (unsigned long long)place->offset);
    data->size += place->size;
    return TG_LOG_OK;
}

static bool begins_with(const tg_frame *frame, const uint8_t *key, size_t size) {
    return frame->key_size >= size && (!size || !memcmp(tg_frame_key(frame), key, size));
}

static tg_log_code read_key(const tg_log *log, const found_at *place, const uint8_t *key, size_t size,
                            tg_buffer *data, size_t *found, tg_log_error *error) {
    *found = SIZE_MAX;
    if (!place->segment) return TG_LOG_OK;
    const size_t at = data->size;
    const tg_log_code code = read_frame(log, place, data, error);
    if (code) return code;
    const tg_frame *frame = (const tg_frame *)(const void *)(data->data + at);
    if (frame->key_size != size || !begins_with(frame, key, size))
        return tg_log_fail(error, TG_LOG_DAMAGED, 0, "segment %llu at byte %llu holds another key",
                           (unsigned long long)place->segment->number,
                           (unsigned long long)place->offset);
    *found = at;
    return TG_LOG_OK;
}

tg_log_code tg_log_get(tg_log *log, size_t n, const uint8_t *const *keys, const size_t *key_sizes,
                       tg_buffer *data, size_t *found, tg_log_error *error) {
    found_at *places = calloc(n + 1, sizeof *places);
    uint64_t(*hashes)[2] = malloc((n + 1) * sizeof *hashes);
    tg_log_code code = TG_LOG_OK;
    if (!places || !hashes) {
        code = tg_log_fail(error, TG_LOG_IO, ENOMEM, "reading %zu keys", n);
    } else {
        for (size_t i = 0; i < n; i++) tg_siphash(log->seed, keys[i], key_sizes[i], hashes[i]);
        pthread_mutex_lock(&log->index_lock);
        for (size_t i = 0; i < n; i++) places[i] = enter(log, tg_index_find(&log->index, hashes[i]));
        pthread_mutex_unlock(&log->index_lock);
        data->size = 0;
        for (size_t i = 0; i < n && !code; i++)
            code = read_key(log, &places[i], keys[i], key_sizes[i], data, &found[i], error);
        leave(log, places, n);
    }
    free(places);
    free(hashes);
    return code;
}

/* -- Walks --------------------------------------------------------------------------------------- */

static int by_place(const void *left, const void *right) {
    const found_at *a = left, *b = right;
    if (a->segment->number != b->segment->number)
        return a->segment->number < b->segment->number ? -1 : 1;
    return a->offset < b->offset ? -1 : 1;
}

static found_at *places_of(tg_log *log, unsigned number, size_t *n) {
    pthread_mutex_lock(&log->index_lock);
    const tg_shard *shard = &log->index.shards[number];
    found_at *places = malloc((shard->n + 1) * sizeof *places);
    *n = 0;
    for (size_t i = 0; places && i < shard->capacity; i++)
        if (shard->entries[i].size) places[(*n)++] = enter(log, &shard->entries[i]);
    pthread_mutex_unlock(&log->index_lock);
    if (places) qsort(places, *n, sizeof *places, by_place);
    return places;
}

tg_log_code tg_log_scan(tg_log *log, unsigned shard, const uint8_t *prefix, size_t prefix_size,
                        tg_buffer *data, tg_found **found, size_t *n, tg_log_error *error) {
    size_t n_places;
    found_at *places = places_of(log, shard, &n_places);
    *found = malloc((n_places + 1) * sizeof **found);
    *n = data->size = 0;
    tg_log_code code = TG_LOG_OK;
    if (!places || !*found) code = tg_log_fail(error, TG_LOG_IO, ENOMEM, "scanning");
    for (size_t i = 0; i < n_places && !code; i++) {
        const size_t at = data->size;
        code = read_frame(log, &places[i], data, error);
        if (code == TG_LOG_DAMAGED && log->options.tolerant) {
            code = TG_LOG_OK;
            continue;
        }
        if (code) break;
        if (begins_with((const tg_frame *)(const void *)(data->data + at), prefix, prefix_size))
            (*found)[(*n)++] = (tg_found){at, places[i].segment->number, places[i].offset};
        else
            data->size = at;
    }
    if (places) leave(log, places, n_places);
    free(places);
    if (code) {
        free(*found);
        *found = NULL;
    }
    return code;
}

/* -- What is known ------------------------------------------------------------------------------- */

void tg_log_get_stats(tg_log *log, tg_log_stats *stats) {
    pthread_mutex_lock(&log->index_lock);
    *stats = log->stats;
    stats->bytes = tg_total_bytes(log);
    stats->segments = log->n_segments;
    pthread_mutex_unlock(&log->index_lock);
    pthread_mutex_lock(&log->lock);
    stats->queued_bytes = log->queued_bytes;
    stats->failed = log->failed;
    pthread_mutex_unlock(&log->lock);
}

const tg_log_damage *tg_log_damages(const tg_log *log, size_t *n) {
    *n = log->n_damages;
    return log->damages;
}

size_t tg_log_segment_count(const tg_log *log) { return log->n_segments; }

void tg_log_segment(const tg_log *log, size_t i, uint64_t *number, uint64_t *end) {
    *number = log->segments[i]->number;
    *end = log->segments[i]->end;
}

int tg_log_read_segment(const tg_log *log, size_t i, uint64_t offset, void *data, size_t size) {
    return tg_read_at(log->segments[i]->file, data, size, offset);
}

void tg_log_make_current(const tg_log *log, uint8_t current[64]) {
    tg_current made;
    tg_make_current(log, tg_newest(log)->end, &made);
    memcpy(current, &made, sizeof made);
}
