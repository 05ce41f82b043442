/* A store that is a log: segments of frames (group.h) in a folder, and an index in memory of where the
 * newest frame of each key lies.
 *
 * `tg_log_append` only queues a group. A thread writes all that are queued with one write and one
 * fdatasync, and only then does the index point at them and their tickets are done. What was not
 * synced is never read and never counts. The files are described in log_internal.h.
 *
 * Any thread may call any function but open and close.
 */
#ifndef TIDEGATE_LOG_H
#define TIDEGATE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "group.h"

enum { TG_LOG_FORMAT = 1 };

typedef enum {
    TG_LOG_OK,
    TG_LOG_IO,      /* the medium failed, or there is no memory; `error` holds errno */
    TG_LOG_DAMAGED, /* files have changed or are missing */
    TG_LOG_VERSION  /* a newer tidegate made it */
} tg_log_code;

typedef struct {
    tg_log_code code;
    int error;
    char text[200];
} tg_log_error;

typedef struct {
    uint64_t segment_size; /* bytes at which a new segment begins */
    double space;          /* bytes on disk, at most, for each byte of current frames */
    uint32_t sync_ms;      /* 0: tickets are done when synced. Else when written; synced so often */
    bool read_only;        /* look at it, perhaps while another process writes it; writes nothing */
    bool tolerant;         /* with read_only: go on at damage, and list it */
} tg_log_options;

typedef struct {
    uint64_t segment, offset;
    const char *what; /* static */
} tg_log_damage;

typedef struct {
    double write_s, sync_s;
    uint64_t bytes, frames;
} tg_log_timing;

typedef struct {
    uint64_t keys, sessions, tombstones; /* sessions: live ones and tombstones */
    uint64_t bytes, live_bytes, segments;
    uint64_t cuts, swept, expired, copied_bytes;
    uint64_t frames_scanned, frames_indexed; /* on opening: read from segments, from index files */
    uint64_t queued_bytes;
    bool failed;
    double open_seconds;
    int cut_error; /* errno that holds up the cutting; 0: none. EBADMSG: a damaged frame */
} tg_log_stats;

typedef struct tg_log tg_log;

/* Opens a folder that exists and that nobody else writes. NULL, and the error. */
tg_log *tg_log_open(const char *path, const tg_log_options *options, tg_log_error *error);

/* Writes what is queued, syncs, and lets go. Not while another call runs. 0, or errno: what was appended
 * and not yet done may be lost. */
int tg_log_close(tg_log *log);

/* Takes a group's frames and leaves it empty. Returns its ticket; 0: the log has failed. */
uint64_t tg_log_append(tg_log *log, tg_group *group);

/* The last ticket that is done; whether the log has failed; up to `capacity` timings of what was
 * written since the last call. */
uint64_t tg_log_progress(tg_log *log, bool *failed, tg_log_timing *timings, size_t capacity, size_t *n);

/* An eventfd that is signalled whenever tickets are done or the log fails. */
int tg_log_eventfd(const tg_log *log);

typedef enum { TG_LOG_DONE, TG_LOG_LATE, TG_LOG_LOST } tg_log_waited;

/* Waits until a ticket is done, or never will be, or for so many seconds (negative: without end). */
tg_log_waited tg_log_wait(tg_log *log, uint64_t ticket, double seconds);

/* What made the log fail. */
void tg_log_failure(tg_log *log, tg_log_error *error);

/* After a failure: begins a new segment that says where the last durable group ended. 0, or -1: it is
 * failed as before. */
int tg_log_recover(tg_log *log);

/* Begins a new segment and cuts all older ones away. 0, or -1: it failed. */
int tg_log_cut(tg_log *log);

/* From now on, when cutting: tombstones older than `tombstone_seconds` go, and live records older than
 * both together. `now`: unix seconds, or 0: the system's clock. */
void tg_log_ages(tg_log *log, double live_seconds, double tombstone_seconds, double now);

/* Frames by key. `found[i]`: where the whole frame lies in `data` (grown as needed), or SIZE_MAX. */
typedef struct {
    uint8_t *data;
    size_t size, capacity;
} tg_buffer;
tg_log_code tg_log_get(tg_log *log, size_t n, const uint8_t *const *keys, const size_t *key_sizes,
                       tg_buffer *data, size_t *found, tg_log_error *error);

/* The current frames of one shard (0 to TG_SHARDS - 1) that begin with a prefix, and where they lie. */
typedef struct {
    size_t at; /* in `data` */
    uint64_t segment, offset;
} tg_found;
tg_log_code tg_log_scan(tg_log *log, unsigned shard, const uint8_t *prefix, size_t prefix_size,
                        tg_buffer *data, tg_found **found, size_t *n, tg_log_error *error);

/* The frame in a buffer is as it was written. */
bool tg_frame_value_sound(const tg_frame *frame);

void tg_log_get_stats(tg_log *log, tg_log_stats *stats);

/* Damage that was found on opening. */
const tg_log_damage *tg_log_damages(const tg_log *log, size_t *n);

/* Read only: what a copy of the store consists of. */
size_t tg_log_segment_count(const tg_log *log);
void tg_log_segment(const tg_log *log, size_t i, uint64_t *number, uint64_t *end);
/* Bytes of a segment. 0, or errno. */
int tg_log_read_segment(const tg_log *log, size_t i, uint64_t offset, void *data, size_t size);
/* The file CURRENT of such a copy; 64 bytes. */
void tg_log_make_current(const tg_log *log, uint8_t current[64]);

#endif
