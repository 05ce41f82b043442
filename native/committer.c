/* The thread that writes: one write and one fdatasync for all groups that are queued. */
#define _GNU_SOURCE /* fdatasync, unlinkat */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "log_internal.h"

/* -- One batch ----------------------------------------------------------------------------------- */

/* From here on the frames so far survive a loss of power. Never tried again after a failure: the
 * kernel may have dropped the pages and report success. */
int tg_sync_now(tg_log *log) {
    if (fdatasync(tg_newest(log)->file)) return errno;
    log->durable_end = tg_newest(log)->end;
    log->unsynced_since = 0.0;
    return 0;
}

/* Goes on in a new segment. */
static int rotate(tg_log *log) {
    tg_segment *full = tg_newest(log);
    int error = log->unsynced_since > 0.0 ? tg_sync_now(log) : 0;
    if (!error) error = tg_begin_segment(log, NULL);
    if (!error) tg_tidy_later(log, full, false);
    return error;
}

/* Gives a group's frames their places, from `*offset` on. */
static int place(tg_log *log, tg_segment *segment, tg_group *group, uint64_t *offset) {
    for (size_t i = 0; i < group->n; i++) {
        tg_frame *frame = tg_group_frame(group, i);
        tg_frame_stamp(log, frame, segment->number, log->group);
        if (tg_segment_add_entry(log, segment, frame, *offset + group->offsets[i])) return ENOMEM;
    }
    *offset += group->size;
    return 0;
}

/* Frames of all groups, in one write. */
static int write_frames(tg_log *log, tg_segment *segment, uint64_t *end) {
    if (tg_grow(&log->parts, &log->parts_capacity, log->batch.n + 1, sizeof *log->parts)) return ENOMEM;
    size_t n = 0;
    int error = 0;
    *end = segment->end;
    for (size_t i = 0; i <= log->batch.n && !error; i++) {
        tg_group *group = i ? &log->batch.items[i - 1].group : &log->copies;
        error = place(log, segment, group, end);
        if (group->size) log->parts[n++] = (struct iovec){group->data, group->size};
    }
    return error ? error : tg_write_at(segment->file, log->parts, n, segment->end);
}

static void publish(tg_log *log, tg_segment *segment, size_t first, uint64_t end) {
    pthread_mutex_lock(&log->index_lock);
    tg_apply(log, segment, segment->entries + first, segment->n_entries - first);
    segment->end = end;
    pthread_mutex_unlock(&log->index_lock);
    log->published_end = end;
}

static int reserve(tg_log *log, const tg_segment *segment, size_t first) {
    pthread_mutex_lock(&log->index_lock);
    const int error =
        tg_index_reserve_for(&log->index, segment->entries + first, segment->n_entries - first);
    pthread_mutex_unlock(&log->index_lock);
    return error;
}

/* Writes the copies and the batch; with sync_ms 0 also syncs. The index follows. */
static int write_batch(tg_log *log, tg_log_timing *timing) {
    tg_segment *segment = tg_newest(log);
    const size_t first = segment->n_entries;
    if (log->unsynced_since == 0.0) log->group = segment->first_group + segment->end - TG_HEADER;
    uint64_t end;
    const double began = tg_monotonic();
    int error = write_frames(log, segment, &end);
    if (!error) error = reserve(log, segment, first);
    const double wrote = tg_monotonic();
    if (!error && !log->options.sync_ms && fdatasync(segment->file)) error = errno;
    if (error) {
        segment->n_entries = first;
        /* What was written before this has not been tried yet. */
        if (log->unsynced_since > 0.0) (void)tg_sync_now(log);
        return error;
    }
    timing->write_s = wrote - began;
    timing->bytes = end - segment->end;
    timing->frames = segment->n_entries - first;
    publish(log, segment, first, end);
    if (log->options.sync_ms) {
        if (log->unsynced_since == 0.0) log->unsynced_since = wrote;
    } else {
        timing->sync_s = tg_monotonic() - wrote;
        log->durable_end = end;
    }
    return 0;
}

static bool sync_is_due(const tg_log *log) {
    return log->unsynced_since > 0.0 &&
           tg_monotonic() >= log->unsynced_since + 1e-3 * (double)log->options.sync_ms;
}

static int commit(tg_log *log, tg_log_timing *timing) {
    uint64_t size = 0;
    for (size_t i = 0; i < log->batch.n; i++) size += log->batch.items[i].group.size;
    const bool cutting = tg_cut_due(log);
    tg_group_clear(&log->copies);
    if (cutting) tg_cut_slice(log, size);
    size += log->copies.size;
    int error = 0;
    const uint64_t end = tg_newest(log)->end;
    if (size && end > TG_HEADER && end + size > log->options.segment_size) error = rotate(log);
    if (size && !error) error = write_batch(log, timing);
    const bool cut_off = cutting && log->cut_to == log->segments[0]->end;
    if (!error && log->unsynced_since > 0.0 && (cut_off || sync_is_due(log))) error = tg_sync_now(log);
    if (!error && cutting) tg_cut_written(log);
    return error;
}

/* -- What callers get to know. These are called with `lock` held ---------------------------------- */

static void signal_news(tg_log *log) {
    const uint64_t one = 1;
    if (write(log->event, &one, sizeof one) < 0) (void)errno; /* it is signalled already */
    pthread_cond_broadcast(&log->news);
}

static void reuse(tg_log *log, tg_group *group) {
    enum { LARGE = 8 << 20 };
    if (log->n_spare < TG_SPARE_GROUPS && group->capacity <= LARGE) {
        tg_group_clear(group);
        log->spare[log->n_spare++] = *group;
    } else {
        tg_group_free(group);
    }
}

static void empty(tg_log *log, tg_queue *queue) {
    for (size_t i = 0; i < queue->n; i++) {
        log->queued_bytes -= queue->items[i].group.size;
        reuse(log, &queue->items[i].group);
    }
    queue->n = 0;
}

static void note_timing(tg_log *log, const tg_log_timing *timing) {
    log->timings[(log->first_timing + log->n_timings) % TG_TIMINGS] = *timing;
    if (log->n_timings < TG_TIMINGS)
        log->n_timings++;
    else
        log->first_timing = (log->first_timing + 1) % TG_TIMINGS;
}

static void committed(tg_log *log, const tg_log_timing *timing) {
    if (timing->bytes) note_timing(log, timing);
    if (!log->batch.n) return;
    log->done_ticket = log->batch.items[log->batch.n - 1].ticket;
    empty(log, &log->batch);
    signal_news(log);
}

/* No ticket that is not done will ever be. */
static void failed(tg_log *log, int error) {
    log->failed = true;
    tg_log_fail(&log->failure, TG_LOG_IO, error, "writing segment %llu",
                (unsigned long long)tg_newest(log)->number);
    if (log->last_ticket > log->done_ticket) {
        const uint64_t from = log->n_lost ? log->lost[log->n_lost - 1].to : 0;
        const uint64_t after = log->done_ticket > from ? log->done_ticket : from;
        if (after < log->last_ticket) log->lost[log->n_lost++] = (tg_range){after + 1, log->last_ticket};
    }
    empty(log, &log->batch);
    empty(log, &log->queue);
    signal_news(log);
}

/* -- After a failure ----------------------------------------------------------------------------- */

/* The index points at frames that were written and are void now. Rare: it is made again. */
static int reload_index(tg_log *log) {
    tg_log_error error;
    tg_index old = log->index;
    memset(&log->index, 0, sizeof log->index);
    tg_recount(log);
    const bool bad = tg_load_index(log, &error) != TG_LOG_OK;
    if (bad) {
        tg_index_free(&log->index);
        log->index = old;
        tg_recount(log);
    } else {
        tg_index_free(&old);
    }
    return bad ? EIO : 0;
}

static int recover(tg_log *log) {
    tg_segment *newest = tg_newest(log);
    const uint64_t end = log->durable_end;
    pthread_mutex_lock(&log->index_lock);
    newest->end = end;
    while (newest->n_entries && (uint64_t)newest->entries[newest->n_entries - 1].place * 8 >= end)
        newest->n_entries--;
    int error = log->published_end > end ? reload_index(log) : 0;
    pthread_mutex_unlock(&log->index_lock);
    if (error) return error;
    log->published_end = end;
    log->unsynced_since = 0.0;
    log->cut_number = 0; /* what was copied may not have come through */
    /* What lies behind is void already; on a full disk its room is needed. */
    if (ftruncate(newest->file, (off_t)end)) (void)errno;
    if (log->failure.error == ENOSPC || log->failure.error == EDQUOT) {
        unlinkat(log->folder, "spare", 0);
        log->has_spare = false;
        log->squeezing = true;
    }
    error = tg_begin_segment(log, NULL);
    if (!error) tg_tidy_later(log, newest, false);
    return error;
}

/* -- The thread ---------------------------------------------------------------------------------- */

static void answer_recover(tg_log *log) {
    pthread_mutex_unlock(&log->lock);
    const int error = recover(log);
    pthread_mutex_lock(&log->lock);
    log->recover_wanted = false;
    log->recover_count++;
    log->recover_result = error;
    log->failed = error != 0;
    if (error) log->failure.error = error;
    signal_news(log);
}

static void answer_cut(tg_log *log, int result) {
    log->cutting_all = log->cut_wanted = false;
    log->cut_count++;
    log->cut_result = result;
    pthread_cond_broadcast(&log->news);
}

/* As many groups as fit a segment, at least one. */
static void take_queue(tg_log *log) {
    uint64_t size = 0;
    size_t n = 0;
    for (; n < log->queue.n; n++) {
        size += log->queue.items[n].group.size;
        if (n && size > log->options.segment_size - TG_HEADER) break;
    }
    if (n == log->queue.n) { /* all: the two change places */
        const tg_queue batch = log->batch;
        log->batch = log->queue;
        log->queue = batch;
    } else if (!tg_grow(&log->batch.items, &log->batch.capacity, n, sizeof(tg_queued))) {
        memcpy(log->batch.items, log->queue.items, n * sizeof(tg_queued));
        log->batch.n = n;
        log->queue.n -= n;
        memmove(log->queue.items, log->queue.items + n, log->queue.n * sizeof(tg_queued));
    }
}

static void turn(tg_log *log) {
    take_queue(log);
    const bool begin_cut = log->cut_wanted && !log->cutting_all;
    pthread_mutex_unlock(&log->lock);
    tg_log_timing timing = {0};
    int error = 0;
    if (begin_cut) {
        if (tg_newest(log)->end > TG_HEADER) error = rotate(log);
        pthread_mutex_lock(&log->index_lock);
        log->stats.cut_error = 0;
        pthread_mutex_unlock(&log->index_lock);
        log->cutting_all = true;
        log->cut_until = tg_newest(log)->number - 1;
    }
    if (!error) error = commit(log, &timing);
    pthread_mutex_lock(&log->lock);
    if (error)
        failed(log, error);
    else
        committed(log, &timing);
    if (log->cutting_all && (error || log->segments[0]->number > log->cut_until || log->stats.cut_error))
        answer_cut(log, error || log->stats.cut_error ? -1 : 0);
}

/* When to wake up if nobody calls; monotonic seconds. */
static double next_time(const tg_log *log) {
    double next = INFINITY;
    if (log->unsynced_since > 0.0) next = log->unsynced_since + 1e-3 * (double)log->options.sync_ms;
    if (log->n_segments > 1 && isfinite(log->ages.tombstone)) next = fmin(next, tg_monotonic() + 60.0);
    if (log->stats.cut_error && log->cut_again > 0.0) next = fmin(next, log->cut_again);
    return next;
}

static bool has_work(tg_log *log) {
    log->ages = log->new_ages;
    if (log->stop || log->recover_wanted) return true;
    if (log->failed) return log->cut_wanted;
    return log->queue.n || log->cut_wanted || tg_cut_due(log) || sync_is_due(log);
}

static void wait_for_work(tg_log *log) {
    while (!has_work(log)) {
        const double next = log->failed ? INFINITY : next_time(log);
        if (isinf(next)) {
            pthread_cond_wait(&log->work, &log->lock);
        } else {
            const struct timespec until = {(time_t)next, (long)(1e9 * (next - floor(next)))};
            pthread_cond_timedwait(&log->work, &log->lock, &until);
        }
    }
}

void *tg_committer(void *argument) {
    tg_log *log = argument;
    pthread_mutex_lock(&log->lock);
    for (;;) {
        wait_for_work(log);
        if (log->recover_wanted)
            answer_recover(log);
        else if (log->failed && log->cut_wanted)
            answer_cut(log, -1);
        else if (log->stop && (log->failed || !log->queue.n))
            break;
        else
            turn(log);
    }
    /* What was told to have failed must not be found by the next process. */
    if (log->failed) answer_recover(log);
    pthread_mutex_unlock(&log->lock);
    return NULL;
}
