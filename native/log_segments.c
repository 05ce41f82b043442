#define _GNU_SOURCE /* files: fallocate, fdatasync, openat, pwritev */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "log_internal.h"
#include "siphash.h"

_Static_assert(sizeof(tg_segment_header) == TG_HEADER, "no padding of a compiler's");
_Static_assert(sizeof(tg_current) == TG_HEADER, "no padding of a compiler's");
_Static_assert(sizeof(tg_index_header) == TG_HEADER, "no padding of a compiler's");
_Static_assert(sizeof(tg_entry) == 32, "no padding of a compiler's");

tg_segment *tg_segment_new(uint64_t number) {
    tg_segment *segment = calloc(1, sizeof *segment);
    if (!segment) return NULL;
    segment->number = number;
    segment->file = -1;
    segment->users = 1;
    return segment;
}

void tg_segment_leave(tg_segment *segment) {
    if (--segment->users) return;
    if (segment->file >= 0) close(segment->file);
    free(segment->entries);
    free(segment);
}

int tg_segments_push(tg_log *log, tg_segment *segment) {
    if (tg_grow(&log->segments, &log->segments_capacity, log->n_segments + 1, sizeof(tg_segment *)))
        return ENOMEM;
    log->segments[log->n_segments++] = segment;
    return 0;
}

tg_segment *tg_newest(const tg_log *log) { return log->segments[log->n_segments - 1]; }

tg_segment *tg_segment_of(const tg_log *log, uint32_t number) {
    const uint64_t i = number - log->segments[0]->number;
    return i < log->n_segments ? log->segments[i] : NULL;
}

uint64_t tg_total_bytes(const tg_log *log) {
    uint64_t total = 0;
    for (size_t i = 0; i < log->n_segments; i++) total += log->segments[i]->end;
    return total;
}

/* -- The index follows the log ------------------------------------------------------------------- */

int tg_segment_add_entry(tg_log *log, tg_segment *segment, const tg_frame *frame, uint64_t offset) {
    if (tg_grow(&segment->entries, &segment->entries_capacity, segment->n_entries + 1, sizeof(tg_entry)))
        return ENOMEM;
    tg_entry *entry = &segment->entries[segment->n_entries++];
    tg_siphash(log->seed, tg_frame_key(frame), frame->key_size, entry->hash);
    entry->segment = (uint32_t)segment->number;
    entry->place = (uint32_t)(offset / 8);
    entry->size = (uint32_t)(tg_frame_size(frame->key_size, frame->value_size) / 8);
    entry->kind = frame->kind;
    return 0;
}

int tg_index_reserve_for(tg_index *index, const tg_entry *entries, size_t n) {
    uint32_t more[TG_SHARDS] = {0};
    for (size_t i = 0; i < n; i++)
        if (entries[i].kind != TG_FRAME_DELETE) more[tg_shard_of(entries[i].hash)]++;
    return tg_index_reserve(index, more) ? ENOMEM : 0;
}

/* A current frame comes (sign 1) or goes (-1). */
static void count(tg_log *log, const tg_entry *entry, int sign) {
    const uint64_t one = (uint64_t)(int64_t)sign, size = one * 8 * entry->size;
    log->stats.keys += one;
    if (entry->kind != TG_FRAME_VALUE) log->stats.sessions += one;
    if (entry->kind == TG_FRAME_TOMBSTONE) log->stats.tombstones += one;
    log->stats.live_bytes += size;
    tg_segment *segment = tg_segment_of(log, entry->segment);
    if (segment) segment->live_bytes += size;
}

void tg_forget(tg_log *log, tg_entry *entry) {
    count(log, entry, -1);
    tg_index_remove(&log->index, entry);
}

void tg_apply(tg_log *log, tg_segment *segment, const tg_entry *entries, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (i + 16 < n) tg_index_prefetch(&log->index, entries[i + 16].hash);
        tg_entry *entry = tg_index_find(&log->index, entries[i].hash);
        if (entries[i].kind == TG_FRAME_DELETE) {
            if (entry) tg_forget(log, entry);
            continue;
        }
        if (entry)
            count(log, entry, -1);
        else
            entry = tg_index_put(&log->index, entries[i].hash);
        *entry = entries[i];
        entry->segment = (uint32_t)segment->number;
        count(log, entry, 1);
    }
}

void tg_recount(tg_log *log) {
    log->stats.keys = log->stats.sessions = log->stats.tombstones = log->stats.live_bytes = 0;
    for (size_t i = 0; i < log->n_segments; i++) log->segments[i]->live_bytes = 0;
    for (size_t s = 0; s < TG_SHARDS; s++) {
        const tg_shard *shard = &log->index.shards[s];
        for (size_t i = 0; i < shard->capacity; i++)
            if (shard->entries[i].size) count(log, &shard->entries[i], 1);
    }
}

void tg_drop_entries(tg_segment *segment) {
    free(segment->entries);
    segment->entries = NULL;
    segment->n_entries = segment->entries_capacity = 0;
}

/* -- Their files --------------------------------------------------------------------------------- */

static void stamp_all(tg_log *log, tg_segment *segment, tg_group *group) {
    for (size_t i = 0; i < group->n; i++)
        tg_frame_stamp(log, tg_group_frame(group, i), segment->number, segment->first_group);
}

/* Writes a new segment's header and first frames and makes them durable. */
static int write_segment(tg_log *log, tg_segment *segment, uint64_t previous_end, tg_group *carried) {
    char name[32];
    tg_segment_name(name, segment->number, "new");
    segment->file = openat(log->folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (segment->file < 0) return errno;
    /* Room that is there already makes each sync cheaper. On a full disk CURRENT needs some, too. */
    if (!log->squeezing && fallocate(segment->file, 0, 0, (off_t)log->options.segment_size) &&
        tg_is_full(errno))
        log->squeezing = true;
    tg_segment_header header = {.format = TG_LOG_FORMAT,
                                .number = segment->number,
                                .previous_end = previous_end,
                                .first_group = segment->first_group,
                                .created = segment->created};
    memcpy(header.magic, TG_SEGMENT_MAGIC, 8);
    memcpy(header.seed, log->seed, sizeof header.seed);
    header.crc = tg_header_crc(&header);
    struct iovec parts[2] = {{&header, sizeof header}, {carried ? carried->data : NULL, 0}};
    if (carried) {
        stamp_all(log, segment, carried);
        parts[1].iov_len = carried->size;
    }
    int error = tg_write_at(segment->file, parts, carried && carried->size ? 2 : 1, 0);
    if (!error && fdatasync(segment->file)) error = errno;
    if (!error && fsync(log->folder)) error = errno;
    return error;
}

/* Begins the segment after the newest, whose `end` is final. What of `carried` is in it is durable
 * before CURRENT names it: a crash finds it there or where it was before.
 *
 * Fails in two ways. Before CURRENT was touched, nothing has changed. After that nobody knows what
 * CURRENT says on disk, so the segment stays, without frames, and the next one comes behind it. */
int tg_begin_segment(tg_log *log, tg_group *carried) {
    const tg_segment *last = log->n_segments ? tg_newest(log) : NULL;
    tg_segment *segment = tg_segment_new(last ? last->number + 1 : 1);
    if (!segment) return ENOMEM;
    segment->end = TG_HEADER;
    segment->first_group = last ? last->first_group + last->end - TG_HEADER : 1;
    segment->created = tg_unix_time();
    int error = segment->number > UINT32_MAX ? EFBIG : 0;
    if (!error) error = write_segment(log, segment, last ? last->end : 0, carried);
    pthread_mutex_lock(&log->index_lock);
    if (!error) error = tg_segments_push(log, segment);
    pthread_mutex_unlock(&log->index_lock);
    bool renamed = false, pushed = !error;
    if (!error) error = tg_write_current(log, 0, &renamed);
    char new[32], name[32];
    tg_segment_name(new, segment->number, "new");
    tg_segment_name(name, segment->number, "log");
    if (error && !renamed) {
        unlinkat(log->folder, new, 0);
        pthread_mutex_lock(&log->index_lock);
        if (pushed) log->n_segments--;
        tg_segment_leave(segment);
        pthread_mutex_unlock(&log->index_lock);
        return error;
    }
    /* Both names are understood, so this needs no sync. But a disk must not have a .log that its
     * CURRENT does not name. */
    if (!error && renameat(log->folder, new, log->folder, name)) error = errno;
    log->durable_end = log->published_end = TG_HEADER;
    log->group = segment->first_group;
    return error;
}

/* Takes room on the disk that can be given up when it is full; whether there was. */
bool tg_make_spare(const tg_log *log) {
    const int file = openat(log->folder, "spare", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return false;
    const bool made = !fallocate(file, 0, 0, (off_t)log->options.segment_size);
    if (!made) unlinkat(log->folder, "spare", 0);
    close(file);
    return made;
}

/* Index files can be made again from what they are beside: their room is the last that there is. Without
 * it a log whose disk others have filled could not even say, in CURRENT, which segment is gone. */
static void give_up_index_files(const tg_log *log) {
    for (size_t i = 0; i < log->n_segments; i++) {
        char name[32];
        tg_segment_name(name, log->segments[i]->number, "idx");
        unlinkat(log->folder, name, 0);
    }
}

void tg_give_up_spare(tg_log *log) {
    log->squeezing = true;
    tg_await_tidier(log); /* what it removes is room, what it writes takes some */
    if (!log->has_spare) give_up_index_files(log);
    unlinkat(log->folder, "spare", 0);
    log->has_spare = false;
    log->cut_again = 0.0; /* at once, before commits take the room */
}

int tg_write_index(tg_log *log, tg_segment *segment) {
    const size_t size = segment->n_entries * sizeof(tg_entry);
    tg_index_header header = {
        .format = TG_LOG_FORMAT, .number = segment->number, .end = segment->end};
    header.n = segment->n_entries;
    memcpy(header.magic, TG_INDEX_MAGIC, 8);
    memcpy(header.seed, log->seed, sizeof header.seed);
    header.entries_crc = tg_crc32c(0, (const uint8_t *)segment->entries, size);
    header.crc = tg_header_crc(&header);
    struct iovec parts[2] = {{&header, sizeof header}, {segment->entries, size}};
    char name[32];
    tg_segment_name(name, segment->number, "idx");
    bool renamed;
    return tg_replace(log->folder, name, parts, size ? 2 : 1, &renamed);
}

/* Entries must lie in the segment, end to end: a file that somebody made is not trusted further. */
static bool entries_fit(const tg_segment *segment, const tg_entry *entries, size_t n) {
    uint64_t at = TG_HEADER;
    for (size_t i = 0; i < n; i++) {
        const bool right = entries[i].kind >= TG_FRAME_VALUE && entries[i].kind <= TG_FRAME_DELETE &&
                           (uint64_t)entries[i].place * 8 == at &&
                           entries[i].size >= sizeof(tg_frame) / 8;
        if (!right) return false;
        at += (uint64_t)entries[i].size * 8;
    }
    return at == segment->end;
}

/* How many entries an index file has room for; UINT64_MAX: no whole number. */
static uint64_t entries_in(int file) {
    struct stat status;
    if (fstat(file, &status)) return UINT64_MAX;
    const off_t size = status.st_size - TG_HEADER, each = sizeof(tg_entry);
    return size % each ? UINT64_MAX : (uint64_t)(size / each);
}

int tg_read_index(tg_log *log, tg_segment *segment) {
    char name[32];
    tg_segment_name(name, segment->number, "idx");
    const int file = openat(log->folder, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    tg_index_header header;
    int error = tg_read_at(file, &header, sizeof header, 0);
    if (!error && (memcmp(header.magic, TG_INDEX_MAGIC, 8) || header.crc != tg_header_crc(&header) ||
                   header.format != TG_LOG_FORMAT || header.number != segment->number ||
                   header.end != segment->end || memcmp(header.seed, log->seed, sizeof header.seed) ||
                   header.n != entries_in(file)))
        error = EBADMSG;
    tg_entry *entries = NULL;
    const size_t n = error ? 0 : header.n, size = n * sizeof(tg_entry);
    if (!error && n && !(entries = malloc(size))) error = ENOMEM;
    if (!error && n) error = tg_read_at(file, entries, size, TG_HEADER);
    if (!error && (tg_crc32c(0, (const uint8_t *)entries, size) != header.entries_crc ||
                   !entries_fit(segment, entries, n)))
        error = EBADMSG;
    close(file);
    if (error) {
        free(entries);
        return error;
    }
    segment->entries = entries;
    segment->n_entries = segment->entries_capacity = n;
    segment->indexed = true;
    return 0;
}
