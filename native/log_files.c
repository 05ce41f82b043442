#define _GNU_SOURCE /* files: fallocate, fdatasync, openat, pwritev */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"
#include "log_internal.h"

int tg_read_at(int file, void *data, size_t size, uint64_t offset) {
    uint8_t *at = data;
    while (size) {
        const ssize_t n = pread(file, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return EBADMSG;
        at += n, size -= (size_t)n, offset += (uint64_t)n;
    }
    return 0;
}

int tg_write_at(int file, struct iovec *parts, size_t n, uint64_t offset) {
    while (n) {
        const ssize_t wrote = pwritev(file, parts, n < 1024 ? (int)n : 1024, (off_t)offset);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return errno;
        /* A disk that fills up writes a part, and says why at the next write. */
        size_t left = (size_t)wrote;
        offset += left;
        for (; n && left >= parts->iov_len; parts++, n--) left -= parts->iov_len;
        if (n) {
            if (!wrote) return ENOSPC;
            parts->iov_base = (uint8_t *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return 0;
}

int tg_replace(int folder, const char *name, struct iovec *parts, size_t n, bool *renamed) {
    char beside[40];
    snprintf(beside, sizeof beside, "%s.tmp", name);
    *renamed = false;
    const int file = openat(folder, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return errno;
    int error = tg_write_at(file, parts, n, 0);
    if (!error && fdatasync(file)) error = errno;
    if (close(file) && !error) error = errno;
    if (!error) {
        *renamed = true; /* for all we know, from here on */
        if (renameat(folder, beside, folder, name)) error = errno, *renamed = false;
    }
    if (!*renamed) unlinkat(folder, beside, 0);
    if (!error && fsync(folder)) error = errno;
    return error;
}

void tg_segment_name(char name[32], uint64_t number, const char *ending) {
    snprintf(name, 32, "%016llu.%s", (unsigned long long)number, ending);
}

uint32_t tg_header_crc(const void *header) {
    uint8_t copy[TG_HEADER];
    memcpy(copy, header, sizeof copy);
    memset(copy + 12, 0, 4); /* the checksum itself */
    return tg_crc32c(0, copy, sizeof copy);
}

void tg_make_current(const tg_log *log, uint64_t end, tg_current *current) {
    memset(current, 0, sizeof *current);
    memcpy(current->magic, TG_CURRENT_MAGIC, 8);
    current->format = TG_LOG_FORMAT;
    current->oldest = log->segments[0]->number;
    current->newest = tg_newest(log)->number;
    current->end = end;
    memcpy(current->seed, log->seed, sizeof current->seed);
    current->crc = tg_header_crc(current);
}

int tg_write_current(tg_log *log, uint64_t end, bool *renamed) {
    tg_current current;
    tg_make_current(log, end, &current);
    struct iovec part = {&current, sizeof current};
    return tg_replace(log->folder, "CURRENT", &part, 1, renamed);
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double tg_monotonic(void) { return seconds_of(CLOCK_MONOTONIC); }

double tg_unix_time(void) { return seconds_of(CLOCK_REALTIME); }

int tg_log_fail(tg_log_error *error, tg_log_code code, int number, const char *format, ...) {
    error->code = code;
    error->error = number;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return (int)code;
}
