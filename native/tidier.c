/* The thread beside the committer: index files of segments that are full, files that are to go. */
#define _GNU_SOURCE /* ftruncate, unlinkat */
#include <stdlib.h>
#include <unistd.h>

#include "log_internal.h"

void tg_tidy_later(tg_log *log, tg_segment *segment, bool remove) {
    tg_job *job = calloc(1, sizeof *job);
    if (!job) return; /* the next opening does it */
    job->segment = segment;
    job->remove = remove;
    pthread_mutex_lock(&log->index_lock);
    if (!remove) segment->users++; /* of a segment that goes it gets the list's share */
    pthread_mutex_unlock(&log->index_lock);
    pthread_mutex_lock(&log->lock);
    *log->last_job = job;
    log->last_job = &job->next;
    pthread_cond_signal(&log->job);
    pthread_mutex_unlock(&log->lock);
}

void tg_await_tidier(tg_log *log) {
    pthread_mutex_lock(&log->lock);
    while (log->jobs || log->tidying) pthread_cond_wait(&log->tidied, &log->lock);
    pthread_mutex_unlock(&log->lock);
}

static void finish(tg_log *log, tg_segment *segment) {
    /* Its room was taken in advance. Not worth an error: cutting gives it back. */
    if (ftruncate(segment->file, (off_t)segment->end)) return;
    /* On a full disk it would take the room that was given up for cutting. */
    if (segment->indexed || log->squeezing || tg_write_index(log, segment)) return;
    pthread_mutex_lock(&log->index_lock);
    tg_drop_entries(segment);
    segment->indexed = true;
    pthread_mutex_unlock(&log->index_lock);
}

static void remove_files(tg_log *log, const tg_segment *segment) {
    static const char *const endings[] = {"log", "new", "idx"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char name[32];
        tg_segment_name(name, segment->number, endings[i]);
        unlinkat(log->folder, name, 0);
    }
    fsync(log->folder);
}

void *tg_tidier(void *argument) {
    tg_log *log = argument;
    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (!log->jobs && !log->tidier_stop) pthread_cond_wait(&log->job, &log->lock);
        tg_job *job = log->jobs;
        if (!job) break;
        log->jobs = job->next;
        if (!log->jobs) log->last_job = &log->jobs;
        log->tidying = true;
        pthread_mutex_unlock(&log->lock);
        if (job->remove)
            remove_files(log, job->segment);
        else
            finish(log, job->segment);
        pthread_mutex_lock(&log->index_lock);
        tg_segment_leave(job->segment);
        pthread_mutex_unlock(&log->index_lock);
        free(job);
        pthread_mutex_lock(&log->lock);
        log->tidying = false;
        if (!log->jobs) pthread_cond_signal(&log->tidied);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}
