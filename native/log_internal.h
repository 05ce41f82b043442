/* The files of a log, and what its parts share.
 *
 * All numbers are little-endian. A folder holds
 *   CURRENT                  which segments there are, and the seed. Replaced (a file beside it, a sync,
 *                            a rename, a sync of the folder) whenever that changes
 *   0000000000000001.log ... segments, numbered without gaps: a header, then frames end to end
 *   0000000000000001.idx ... beside a segment that gets no more frames: where its frames lie. It can
 *                            be made again from the segment, and is if it is missing or damaged
 *   spare                    nothing: room to copy to when the disk is full
 *   NUMBER.new               a segment that CURRENT does not name yet, or has just begun to name
 *
 * A segment ends where the header of the next one says; what lies behind is void. CURRENT says where
 * the newest ends if the log was closed. Else that must be found (log_frames.c), and may be, because:
 *   - frames that are synced together are a sync group. Each frame says where its sync group began:
 *     `group` is a position in the log, the header's `first_group` that of the segment's first frame;
 *   - a sync group is only written after the one before it was synced. So only the last sync group of
 *     the log can be torn; a gap before it is damage;
 *   - `ends` is 1 in the last frame of each group that was appended: only whole groups count.
 */
#ifndef TIDEGATE_LOG_INTERNAL_H
#define TIDEGATE_LOG_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <sys/uio.h>

#include "grow.h"
#include "log.h"
#include "log_index.h"

/* In all three, `crc` is the CRC-32C of the header with 0 in its place. */
typedef struct {
    char magic[8]; /* TG_SEGMENT_MAGIC */
    uint32_t format, crc;
    uint64_t number;
    uint64_t previous_end; /* of the segment before: its frames behind that are void */
    uint64_t first_group;
    double created; /* unix seconds */
    uint8_t seed[16];
} tg_segment_header;

typedef struct {
    char magic[8]; /* TG_CURRENT_MAGIC */
    uint32_t format, crc;
    uint64_t oldest, newest;
    uint64_t end; /* of the newest; 0: the log is open, or was not closed */
    uint8_t seed[16];
    uint64_t zero;
} tg_current;

typedef struct { /* and then the entries, in the order of the log */
    char magic[8]; /* TG_INDEX_MAGIC */
    uint32_t format, crc;
    uint64_t number, end;
    uint64_t n;
    uint8_t seed[16];
    uint32_t entries_crc, zero;
} tg_index_header;

#define TG_SEGMENT_MAGIC "tgLOGseg"
#define TG_CURRENT_MAGIC "tgLOGcur"
#define TG_INDEX_MAGIC "tgLOGidx"

enum { TG_HEADER = 64 };

typedef struct {
    uint64_t number, end, first_group;
    double created;
    int file;
    uint64_t live_bytes; /* of current frames */
    /* Its frames so far, for the index file; gone when that is written. */
    tg_entry *entries;
    size_t n_entries, entries_capacity;
    bool indexed;
    int users; /* the list of segments, readers, the tidier; the last one closes it */
} tg_segment;

typedef struct {
    tg_group group;
    uint64_t ticket;
} tg_queued;

typedef struct {
    tg_queued *items;
    size_t n, capacity;
} tg_queue;

typedef struct tg_job {
    struct tg_job *next;
    tg_segment *segment;
    bool remove; /* else: write its index file and give its spare room back */
} tg_job;

typedef struct {
    uint64_t from, to;
} tg_range;

typedef struct {
    double live, tombstone; /* seconds; infinite: none goes */
    double now;             /* unix seconds; 0: the system's clock */
} tg_ages;

enum { TG_TIMINGS = 1024, TG_SPARE_GROUPS = 4 };

struct tg_log {
    tg_log_options options;
    int folder;
    uint8_t seed[16];
    uint32_t seed_crc; /* header checksums begin with it: other stores' frames are none here */
    bool started;      /* its threads run */

    /* Under `lock`: what callers and the committer tell each other. */
    pthread_mutex_t lock;
    pthread_cond_t work, news; /* to the committer; from it */
    tg_queue queue;
    tg_group spare[TG_SPARE_GROUPS]; /* memory of groups that were written */
    size_t n_spare;
    uint64_t last_ticket, done_ticket, synced_ticket, queued_bytes;
    tg_range *lost; /* tickets that were dropped */
    size_t n_lost, lost_capacity;
    bool failed, stop, recover_wanted, cut_wanted;
    uint64_t recover_count, cut_count; /* how many such wishes were answered */
    int recover_result, cut_result;
    tg_log_error failure;
    tg_log_timing timings[TG_TIMINGS];
    size_t n_timings, first_timing;
    tg_ages new_ages;
    tg_job *jobs, **last_job; /* to the tidier */
    pthread_cond_t job, tidied; /* to it; from it */
    bool tidying, tidier_stop;
    pthread_t committer, tidier;
    int event;

    /* Under `index_lock`. Only the committer changes them, so it may look without. */
    pthread_mutex_t index_lock;
    tg_index index;
    tg_segment **segments; /* oldest first, the last one is written to; numbers without gaps */
    size_t n_segments, segments_capacity;
    tg_log_stats stats;

    /* The committer's. */
    tg_ages ages;
    uint64_t durable_end;  /* of the newest segment */
    uint64_t group;        /* position at which the sync group begins */
    uint64_t written_ticket, durable_ticket;
    double unsynced_since; /* monotonic; 0: all is synced */
    uint64_t published_end; /* of the newest segment: what the index points at */
    struct iovec *parts;
    size_t parts_capacity;
    tg_queue batch;
    tg_group copies;      /* frames of the oldest segment that are still current */
    uint64_t cut_number;  /* the segment that is being cut, 0: none */
    uint64_t cut_from, cut_to; /* its frames before the first are copied; a slice ends at the second */
    bool cutting_all;     /* every segment up to `cut_until` goes, for somebody waits for that */
    uint64_t cut_until;
    _Atomic bool squeezing; /* the disk is full: cut all that is outdated. The tidier reads it, too */
    bool has_spare;
    double cut_again;     /* monotonic: not before, after something was in the way */
    uint64_t cut_live;    /* what was current in the oldest segment when that happened, bytes */
    tg_buffer cut_buffer;

    /* Found on opening. */
    tg_log_damage *damages;
    size_t n_damages, damages_capacity;
    tg_group carried; /* of the newest segment: groups that were perhaps not synced */
};

/* log_files.c: the medium. Functions return 0 or errno. */
int tg_read_at(int file, void *data, size_t size, uint64_t offset); /* EBADMSG: the file ends before */
int tg_write_at(int file, struct iovec *parts, size_t n, uint64_t offset); /* changes the parts */
int tg_replace(int folder, const char *name, struct iovec *parts, size_t n, bool *renamed);
void tg_segment_name(char name[32], uint64_t number, const char *ending);
uint32_t tg_header_crc(const void *header);
int tg_write_current(tg_log *log, uint64_t end, bool *renamed);
void tg_make_current(const tg_log *log, uint64_t end, tg_current *current);
static inline bool tg_is_full(int error) { return error == ENOSPC || error == EDQUOT; }
double tg_monotonic(void);
double tg_unix_time(void);
int tg_log_fail(tg_log_error *error, tg_log_code code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* log_segments.c: segments and what is known of them. */
tg_segment *tg_segment_new(uint64_t number);
void tg_segment_leave(tg_segment *segment); /* under index_lock, if threads run */
int tg_segments_push(tg_log *log, tg_segment *segment);
tg_segment *tg_newest(const tg_log *log);
tg_segment *tg_segment_of(const tg_log *log, uint32_t number); /* NULL: there is none */
void tg_recount(tg_log *log); /* what the counters say of the index */
int tg_segment_add_entry(tg_log *log, tg_segment *segment, const tg_frame *frame, uint64_t offset);
int tg_begin_segment(tg_log *log, tg_group *carried);
int tg_write_index(tg_log *log, tg_segment *segment);
int tg_read_index(tg_log *log, tg_segment *segment);
bool tg_make_spare(const tg_log *log);
void tg_give_up_spare(tg_log *log); /* the disk is full */
void tg_drop_entries(tg_segment *segment);
/* Lets the index follow entries first to n of a segment. */
int tg_index_reserve_for(tg_index *index, const tg_entry *entries, size_t n);
void tg_apply(tg_log *log, tg_segment *segment, const tg_entry *entries, size_t n);
void tg_forget(tg_log *log, tg_entry *entry);
uint64_t tg_total_bytes(const tg_log *log);

/* log_frames.c: frames among bytes that nobody can be sure of. */
void tg_frame_stamp(const tg_log *log, tg_frame *frame, uint64_t segment, uint64_t group);
/* The frame of a segment that begins at these bytes, or NULL. It may go on behind them. */
const tg_frame *tg_frame_begins_at(const tg_log *log, uint64_t number, const uint8_t *data,
                                   uint64_t room);
/* The same, and all of it is there. Its value is not looked at. */
const tg_frame *tg_frame_at(const tg_log *log, uint64_t number, const uint8_t *data, uint64_t room);
static inline uint64_t tg_whole_size(const tg_frame *frame) {
    return tg_frame_size(frame->key_size, frame->value_size);
}
int tg_group_copy(tg_group *group, const tg_frame *frame);
/* Adds an entry for each frame of a segment of which `size` bytes are there; `data` are they. */
tg_log_code tg_scan_sealed(tg_log *log, tg_segment *segment, const uint8_t *data, uint64_t size,
                           tg_log_error *error);
/* The same where the log was not closed; finds the end, and what of the last group to carry over. */
tg_log_code tg_scan_tail(tg_log *log, tg_segment *segment, const uint8_t *data, uint64_t size,
                         tg_log_error *error);
/* Notes damage, and in a tolerant log goes on: returns TG_LOG_OK then. */
tg_log_code tg_damaged(tg_log *log, uint64_t segment, uint64_t offset, const char *what,
                       tg_log_error *error);

/* log_recover.c: what is on disk. */
tg_log_code tg_load(tg_log *log, bool *is_new, tg_log_error *error);
tg_log_code tg_load_index(tg_log *log, tg_log_error *error); /* of the segments, from nothing */
void tg_clean_up(tg_log *log); /* removes what a killed process left */

/* committer.c */
void *tg_committer(void *log);
int tg_sync_now(tg_log *log); /* what is written and not yet synced */

/* tidier.c: what need not be done at once. */
void *tg_tidier(void *log);
void tg_tidy_later(tg_log *log, tg_segment *segment, bool remove);
void tg_await_tidier(tg_log *log); /* until all that is done */

/* log_cut.c */
bool tg_cut_due(tg_log *log);
void tg_cut_slice(tg_log *log, uint64_t committed); /* fills `copies`; beside so many bytes of commits */
void tg_cut_written(tg_log *log); /* they are in the log: removes the segment if that was all of it */

#endif
