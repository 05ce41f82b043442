/* Cutting: the oldest segment goes, after its current frames were copied to the head of the log.
 *
 * The committer does it itself, in slices that go into the log in front of the groups it commits next.
 * When a slice is made, the index knows every frame that was ever written, so a frame that it points at
 * is the newest of its key; and a newer one can only come behind the copy. So the order in the log is
 * always that of the changes, for this process and for one that reads the log again.
 *
 * Only the oldest segment is cut, so no older frame of a key can be anywhere when one is left out: a
 * DELETE and an aged record need nothing to be said about them.
 *
 * Damage between the frames that can be read is skipped. Whether something current is in there, the
 * index knows, for a log is only opened if every frame could be told. If nothing is, the segment goes.
 * Else it stays, and all that follow, until those keys are written again or deleted: if a later segment
 * went, and a DELETE with it, a value in the one that stays could come back.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "log_internal.h"
#include "siphash.h"

enum { SLICE = 256 << 10, FEW_SEGMENTS = 4, LONGEST_KEY = UINT16_MAX };

/* -- When ---------------------------------------------------------------------------------------- */

static double space_limit(const tg_log *log) {
    return fmax(log->options.space * (double)log->stats.live_bytes,
                (double)FEW_SEGMENTS * (double)log->options.segment_size);
}

static double now_of(const tg_log *log) { return log->ages.now > 0.0 ? log->ages.now : tg_unix_time(); }

static bool is_held_up(const tg_log *log) {
    if (log->stats.cut_error == EBADMSG) return log->segments[0]->live_bytes == log->cut_live;
    return log->stats.cut_error && tg_monotonic() < log->cut_again;
}

bool tg_cut_due(tg_log *log) {
    const tg_segment *oldest = log->segments[0];
    if (log->n_segments < 2) return false;
    if (log->cutting_all) return oldest->number <= log->cut_until && !log->stats.cut_error;
    if (is_held_up(log)) return false;
    const double limit = space_limit(log), total = (double)tg_total_bytes(log);
    if (log->squeezing) return true;
    /* Each opening begins a segment; those that stayed small are taken together. */
    const double many = 2.0 * fmax(limit, total) / (double)log->options.segment_size + 2 * FEW_SEGMENTS;
    if (total > limit || (double)log->n_segments > many) return true;
    /* Tombstones go even where nothing else happens. What is copied is looked at again after the same
     * time, so nothing is copied for its age more often than that. */
    return now_of(log) - oldest->created > log->ages.tombstone;
}

/* How many bytes of the oldest segment to look through: more than are committed, so that the log gets
 * shorter; the more the log is too long, the more. */
static uint64_t slice_size(const tg_log *log, uint64_t committed) {
    if (!committed) return SLICE;
    const double over = (double)tg_total_bytes(log) / space_limit(log) - 1.0;
    const double rate = 2.0 + 20.0 * fmin(fmax(over, 0.0), 1.0);
    return (uint64_t)fmax(rate * (double)committed, SLICE / 2.0);
}

/* -- What ---------------------------------------------------------------------------------------- */

static void in_the_way(tg_log *log, int error) {
    pthread_mutex_lock(&log->index_lock);
    log->stats.cut_error = error;
    pthread_mutex_unlock(&log->index_lock);
    log->cut_again = error == EBADMSG ? INFINITY : tg_monotonic() + 1.0;
    log->cut_live = log->segments[0]->live_bytes;
}

static bool has_aged(const tg_log *log, const tg_frame *frame) {
    const double age = now_of(log) - frame->stamp;
    if (frame->kind == TG_FRAME_TOMBSTONE) return age > log->ages.tombstone;
    return frame->kind == TG_FRAME_LIVE && age > log->ages.live + log->ages.tombstone;
}

static void leave_out(tg_log *log, tg_entry *entry) {
    pthread_mutex_lock(&log->index_lock);
    *(entry->kind == TG_FRAME_TOMBSTONE ? &log->stats.swept : &log->stats.expired) += 1;
    tg_forget(log, entry);
    pthread_mutex_unlock(&log->index_lock);
}

static int copy(tg_log *log, const tg_segment *segment, const tg_frame *frame, uint64_t offset) {
    uint64_t hash[2];
    tg_siphash(log->seed, tg_frame_key(frame), frame->key_size, hash);
    tg_entry *entry = tg_index_find(&log->index, hash);
    if (!entry || entry->segment != segment->number || (uint64_t)entry->place * 8 != offset) return 0;
    if (has_aged(log, frame)) {
        leave_out(log, entry);
        return 0;
    }
    if (tg_group_copy(&log->copies, frame)) return ENOMEM;
    tg_group_frame(&log->copies, log->copies.n - 1)->ends = 1;
    return 0;
}

/* Copies from `size` bytes at cut_from; moves cut_to behind the last whole frame or gap. */
static int copy_from(tg_log *log, const tg_segment *segment, uint64_t size) {
    if (tg_grow(&log->cut_buffer.data, &log->cut_buffer.capacity, size, 1)) return ENOMEM;
    memset(log->cut_buffer.data, 0, size); /* a file that was cut off is a gap */
    int error = tg_read_at(segment->file, log->cut_buffer.data, size, log->cut_from);
    if (error == EBADMSG) error = 0;
    const uint64_t left = segment->end - log->cut_from;
    for (uint64_t at = 0; at < size && !error; log->cut_to = log->cut_from + at) {
        const tg_frame *frame =
            tg_frame_begins_at(log, segment->number, log->cut_buffer.data + at, size - at);
        const uint64_t needs = frame ? tg_whole_size(frame) : sizeof *frame + LONGEST_KEY;
        if (frame && needs <= size - at) {
            error = copy(log, segment, frame, log->cut_from + at);
            if (!error) at += needs;
        } else if (needs <= size - at || size == left || (frame && needs > left - at)) {
            at += 8; /* frames begin at multiples of 8 bytes */
        } else {
            break; /* more of it must be read */
        }
    }
    return error;
}

void tg_cut_slice(tg_log *log, uint64_t committed) {
    const tg_segment *oldest = log->segments[0];
    if (log->cut_number != oldest->number) log->cut_from = TG_HEADER;
    log->cut_number = oldest->number;
    log->cut_to = log->cut_from;
    const uint64_t left = oldest->end - log->cut_from;
    if (!oldest->live_bytes) {
        log->cut_to = oldest->end;
        return;
    }
    int error = 0;
    for (uint64_t size = slice_size(log, committed); left && !error && log->cut_to == log->cut_from;
         size *= 4) /* a frame may be larger than a slice */
        error = copy_from(log, oldest, size < left ? size : left);
    if (error) in_the_way(log, error);
}

/* -- Removal ------------------------------------------------------------------------------------- */

/* Once CURRENT does not name it any more, it is gone, and a killed process's successor removes it. */
static void remove_oldest(tg_log *log) {
    tg_segment *oldest = log->segments[0], **rest = log->segments;
    pthread_mutex_lock(&log->index_lock);
    log->segments++, log->n_segments--;
    pthread_mutex_unlock(&log->index_lock);
    bool renamed;
    int error = tg_write_current(log, 0, &renamed);
    if (tg_is_full(error)) { /* saying what goes needs room, too */
        tg_give_up_spare(log);
        error = tg_write_current(log, 0, &renamed);
    }
    pthread_mutex_lock(&log->index_lock);
    log->segments = rest;
    if (error) {
        log->n_segments++;
    } else {
        memmove(rest, rest + 1, log->n_segments * sizeof *rest);
        log->stats.cuts++;
        log->stats.cut_error = 0;
    }
    pthread_mutex_unlock(&log->index_lock);
    log->cut_number = 0;
    if (error)
        in_the_way(log, error);
    else
        tg_tidy_later(log, oldest, true);
    if (error) return;
    if (log->squeezing) tg_await_tidier(log); /* its room is wanted now */
    if (!log->has_spare) log->has_spare = tg_make_spare(log);
    /* Once around: what is left then is nearly all current. */
    const double most = 1.2 * (double)log->stats.live_bytes + 2.0 * (double)log->options.segment_size;
    if ((double)tg_total_bytes(log) <= most) log->squeezing = false;
}

void tg_cut_written(tg_log *log) {
    pthread_mutex_lock(&log->index_lock);
    log->stats.copied_bytes += log->copies.size;
    pthread_mutex_unlock(&log->index_lock);
    log->cut_from = log->cut_to;
    if (log->cut_from != log->segments[0]->end) return;
    /* What is current in it still cannot be read. */
    if (log->segments[0]->live_bytes)
        in_the_way(log, EBADMSG);
    else
        remove_oldest(log);
}
