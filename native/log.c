#define _GNU_SOURCE /* files: fallocate, fdatasync, openat, pwritev */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"
#include "log_internal.h"

/* -- Opening ------------------------------------------------------------------------------------- */

static void forget_all(tg_log *log) {
    for (size_t i = 0; i < log->n_segments; i++) tg_segment_leave(log->segments[i]);
    log->n_segments = 0;
    log->n_damages = 0;
    tg_index_free(&log->index);
    memset(&log->stats, 0, sizeof log->stats);
}

/* A log that another process writes may change while it is read: then it is read again. */
static tg_log_code load(tg_log *log, tg_log_error *error) {
    bool is_new = false;
    tg_log_code code = tg_load(log, &is_new, error);
    for (int i = 0; i < 5 && log->options.read_only && (code == TG_LOG_DAMAGED || log->n_damages); i++) {
        forget_all(log);
        code = tg_load(log, &is_new, error);
    }
    if (code || !is_new) return code;
    if (log->options.read_only) return tg_log_fail(error, TG_LOG_DAMAGED, ENOENT, "there is no CURRENT");
    if (getrandom(log->seed, sizeof log->seed, 0) != (ssize_t)sizeof log->seed)
        return tg_log_fail(error, TG_LOG_IO, errno, "drawing a seed");
    log->seed_crc = tg_crc32c(0, log->seed, sizeof log->seed);
    return TG_LOG_OK;
}

/* Begins this process's own segment, with what nobody knows to be durable. */
static int begin(tg_log *log) {
    if (log->n_segments) tg_clean_up(log);
    int error = tg_begin_segment(log, &log->carried);
    if (error) return error;
    tg_segment *segment = tg_newest(log);
    for (size_t i = 0; i < log->carried.n && !error; i++)
        error = tg_segment_add_entry(log, segment, tg_group_frame(&log->carried, i),
                                     TG_HEADER + log->carried.offsets[i]);
    if (!error) error = tg_index_reserve_for(&log->index, segment->entries, segment->n_entries);
    if (error) return error;
    tg_apply(log, segment, segment->entries, segment->n_entries);
    segment->end = log->durable_end = log->published_end = TG_HEADER + log->carried.size;
    tg_group_free(&log->carried);
    return 0;
}

/* The same on a full disk, too: then with the room that was taken in advance. */
static int begin_with_room(tg_log *log) {
    int error = begin(log);
    if (!tg_is_full(error)) {
        log->has_spare = !error && tg_make_spare(log);
        return error;
    }
    if (log->n_segments) {
        const tg_segment *newest = tg_newest(log);
        const uint64_t end = newest->end + log->carried.size; /* what is carried must not go yet */
        if (ftruncate(newest->file, (off_t)end)) (void)errno;
    }
    tg_give_up_spare(log);
    return begin(log);
}

static void stop_tidier(tg_log *log) {
    pthread_mutex_lock(&log->lock);
    log->tidier_stop = true;
    pthread_cond_signal(&log->job);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->tidier, NULL);
}

static int start(tg_log *log) {
    log->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (log->event < 0) return errno;
    /* Before there is a committer, which may cut segments away at once. */
    for (size_t i = 0; i + 1 < log->n_segments; i++)
        if (!log->segments[i]->indexed) tg_tidy_later(log, log->segments[i], false);
    int error = pthread_create(&log->tidier, NULL, tg_tidier, log); /* the committer waits for it */
    if (error) return error;
    error = pthread_create(&log->committer, NULL, tg_committer, log);
    log->started = !error;
    if (error) stop_tidier(log);
    return error;
}

static void free_log(tg_log *log) {
    for (tg_job *job = log->jobs, *next; job; job = next) { /* where no tidier was started */
        next = job->next;
        tg_segment_leave(job->segment);
        free(job);
    }
    forget_all(log);
    free(log->segments);
    for (size_t i = 0; i < log->n_spare; i++) tg_group_free(&log->spare[i]);
    for (size_t i = 0; i < log->queue.n; i++) tg_group_free(&log->queue.items[i].group);
    free(log->queue.items);
    free(log->batch.items);
    tg_group_free(&log->copies);
    tg_group_free(&log->carried);
    free(log->cut_buffer.data);
    free(log->parts);
    free(log->lost);
    free(log->damages);
    if (log->folder >= 0) close(log->folder);
    if (log->event >= 0) close(log->event);
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->index_lock);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->news);
    pthread_cond_destroy(&log->job);
    pthread_cond_destroy(&log->tidied);
    free(log);
}

static tg_log *new_log(const tg_log_options *options) {
    tg_log *log = calloc(1, sizeof *log);
    if (!log) return NULL;
    log->options = *options;
    log->folder = log->event = -1;
    log->last_job = &log->jobs;
    log->ages = log->new_ages = (tg_ages){INFINITY, INFINITY, 0.0};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->index_lock, NULL);
    pthread_cond_init(&log->work, &monotonic);
    pthread_cond_init(&log->news, &monotonic);
    pthread_cond_init(&log->job, NULL);
    pthread_cond_init(&log->tidied, NULL);
    pthread_condattr_destroy(&monotonic);
    return log;
}

tg_log *tg_log_open(const char *path, const tg_log_options *options, tg_log_error *error) {
    const double began = tg_monotonic();
    tg_log *log = new_log(options);
    if (!log) {
        tg_log_fail(error, TG_LOG_IO, ENOMEM, "opening the log");
        return NULL;
    }
    tg_log_code code = TG_LOG_OK;
    log->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->folder < 0) code = tg_log_fail(error, TG_LOG_IO, errno, "opening the folder");
    if (!code) code = load(log, error);
    if (!code && !options->read_only) {
        int number = begin_with_room(log);
        if (!number) number = start(log);
        if (number) code = tg_log_fail(error, TG_LOG_IO, number, "beginning a segment");
    }
    if (code) {
        free_log(log);
        return NULL;
    }
    log->stats.open_seconds = tg_monotonic() - began;
    return log;
}

/* Says where the newest segment ends, so that the next opening need not look. */
static int seal(tg_log *log) {
    int error = log->unsynced_since > 0.0 ? tg_sync_now(log) : 0;
    tg_segment *newest = tg_newest(log);
    if (!error && ftruncate(newest->file, (off_t)newest->end)) error = errno;
    if (!error) error = tg_write_index(log, newest);
    bool renamed;
    if (!error) error = tg_write_current(log, newest->end, &renamed);
    return error;
}

int tg_log_close(tg_log *log) {
    int error = 0;
    if (log->started) {
        pthread_mutex_lock(&log->lock);
        log->stop = true;
        pthread_cond_signal(&log->work);
        pthread_mutex_unlock(&log->lock);
        pthread_join(log->committer, NULL);
        stop_tidier(log);
        error = log->failed ? log->failure.error : seal(log);
    }
    free_log(log);
    return error;
}

/* -- Commits ------------------------------------------------------------------------------------- */

uint64_t tg_log_append(tg_log *log, tg_group *group) {
    pthread_mutex_lock(&log->lock);
    uint64_t ticket = 0;
    tg_queue *queue = &log->queue;
    if (!log->failed && !log->stop &&
        !tg_grow(&log->lost, &log->lost_capacity, log->n_lost + 1, sizeof(tg_range)) &&
        !tg_grow(&queue->items, &queue->capacity, queue->n + 1, sizeof(tg_queued))) {
        if (group->n) tg_group_frame(group, group->n - 1)->ends = 1;
        ticket = ++log->last_ticket;
        queue->items[queue->n++] = (tg_queued){*group, ticket};
        log->queued_bytes += group->size;
        *group = log->n_spare ? log->spare[--log->n_spare] : (tg_group){0};
        pthread_cond_signal(&log->work);
    }
    pthread_mutex_unlock(&log->lock);
    return ticket;
}

uint64_t tg_log_progress(tg_log *log, bool *failed, tg_log_timing *timings, size_t capacity, size_t *n) {
    uint64_t signals;
    if (read(log->event, &signals, sizeof signals) < 0) (void)errno; /* there is no news */
    pthread_mutex_lock(&log->lock);
    *failed = log->failed;
    *n = log->n_timings < capacity ? log->n_timings : capacity;
    for (size_t i = 0; i < *n; i++) timings[i] = log->timings[(log->first_timing + i) % TG_TIMINGS];
    log->first_timing = (log->first_timing + *n) % TG_TIMINGS;
    log->n_timings -= *n;
    const uint64_t done = log->done_ticket;
    pthread_mutex_unlock(&log->lock);
    return done;
}

int tg_log_eventfd(const tg_log *log) { return log->event; }

static bool is_lost(const tg_log *log, uint64_t ticket) {
    for (size_t i = log->n_lost; i > 0; i--)
        if (ticket >= log->lost[i - 1].from) return ticket <= log->lost[i - 1].to;
    return false;
}

/* Waits for news; false: it is too late. Without an end for an infinite time. */
static bool next_news(tg_log *log, double until) {
    if (isinf(until)) return !pthread_cond_wait(&log->news, &log->lock);
    const struct timespec at = {(time_t)until, (long)(1e9 * (until - floor(until)))};
    return pthread_cond_timedwait(&log->news, &log->lock, &at) != ETIMEDOUT;
}

tg_log_waited tg_log_wait(tg_log *log, uint64_t ticket, double seconds) {
    const double until = seconds < 0.0 || seconds > 1e9 ? INFINITY : tg_monotonic() + seconds;
    tg_log_waited result = TG_LOG_LATE;
    pthread_mutex_lock(&log->lock);
    do {
        if (is_lost(log, ticket))
            result = TG_LOG_LOST;
        else if (ticket <= log->done_ticket)
            result = TG_LOG_DONE;
    } while (result == TG_LOG_LATE && next_news(log, until));
    pthread_mutex_unlock(&log->lock);
    return result;
}

void tg_log_failure(tg_log *log, tg_log_error *error) {
    pthread_mutex_lock(&log->lock);
    *error = log->failure;
    pthread_mutex_unlock(&log->lock);
}

/* Leaves a wish to the committer and waits until it was answered. */
static int wish(tg_log *log, bool *wanted, const uint64_t *count, const int *result) {
    const uint64_t before = *count;
    *wanted = true;
    pthread_cond_signal(&log->work);
    while (*count == before) pthread_cond_wait(&log->news, &log->lock);
    return *result ? -1 : 0;
}

int tg_log_recover(tg_log *log) {
    pthread_mutex_lock(&log->lock);
    const int result =
        log->failed ? wish(log, &log->recover_wanted, &log->recover_count, &log->recover_result) : 0;
    pthread_mutex_unlock(&log->lock);
    return result;
}

int tg_log_cut(tg_log *log) {
    pthread_mutex_lock(&log->lock);
    const int result = wish(log, &log->cut_wanted, &log->cut_count, &log->cut_result);
    pthread_mutex_unlock(&log->lock);
    return result;
}

void tg_log_ages(tg_log *log, double live_seconds, double tombstone_seconds, double now) {
    pthread_mutex_lock(&log->lock);
    log->new_ages = (tg_ages){live_seconds, tombstone_seconds, now};
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
}
