#define _GNU_SOURCE /* files: fallocate, fdatasync, openat, pwritev */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "log_internal.h"

enum { MOST_SEGMENTS = 1 << 20 };

static tg_log_code io(tg_log_error *error, int number, uint64_t segment) {
    return tg_log_fail(error, TG_LOG_IO, number, "reading segment %llu", (unsigned long long)segment);
}

/* -- The folder ---------------------------------------------------------------------------------- */

typedef void visit(tg_log *log, const char *name, uint64_t number, const char *ending, void *seen);

/* Visits each file that has a name of ours. */
static int each_file(tg_log *log, visit *visit, void *seen) {
    const int folder = openat(log->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = folder < 0 ? NULL : fdopendir(folder);
    if (!list) {
        const int error = errno;
        if (folder >= 0) close(folder);
        return error;
    }
    for (const struct dirent *entry; (entry = readdir(list));) {
        char *ending;
        const uint64_t number = strtoull(entry->d_name, &ending, 10);
        if (ending - entry->d_name == 16 && *ending == '.')
            visit(log, entry->d_name, number, ending + 1, seen);
        else if (!strcmp(entry->d_name, "CURRENT.tmp"))
            visit(log, entry->d_name, 0, "tmp", seen);
    }
    closedir(list);
    return 0;
}

typedef struct {
    uint64_t oldest, newest;
} numbers;

static void see_segment(tg_log *log, const char *name, uint64_t number, const char *ending, void *seen) {
    (void)log, (void)name;
    numbers *known = seen;
    if (strcmp(ending, "log")) return;
    if (!known->oldest || number < known->oldest) known->oldest = number;
    if (number > known->newest) known->newest = number;
}

static void remove_left(tg_log *log, const char *name, uint64_t number, const char *ending, void *seen) {
    (void)seen;
    const uint64_t oldest = log->segments[0]->number, newest = tg_newest(log)->number;
    const bool ours = number >= oldest && number <= newest;
    if (strstr(ending, "tmp") || !ours) unlinkat(log->folder, name, 0);
}

void tg_clean_up(tg_log *log) { each_file(log, remove_left, NULL); }

/* -- CURRENT ------------------------------------------------------------------------------------- */

static tg_log_code newer(tg_log_error *error, const char *name, uint32_t format) {
    return tg_log_fail(error, TG_LOG_VERSION, 0, "%s has format %u; this tidegate reads up to %d", name,
                       format, TG_LOG_FORMAT);
}

static tg_log_code check_current(const tg_current *current, int number, tg_log_error *error) {
    if (!number && !memcmp(current->magic, TG_CURRENT_MAGIC, 8) && current->format > TG_LOG_FORMAT)
        return newer(error, "CURRENT", current->format);
    const bool right = !number && !memcmp(current->magic, TG_CURRENT_MAGIC, 8) &&
                       current->crc == tg_header_crc(current) && current->oldest &&
                       current->oldest <= current->newest && current->newest <= UINT32_MAX &&
                       current->newest - current->oldest < MOST_SEGMENTS && current->end % 8 == 0;
    return right ? TG_LOG_OK
                 : tg_log_fail(error, TG_LOG_DAMAGED, 0, "CURRENT %s",
                               number == ENOENT ? "is missing" : "is damaged");
}

/* What CURRENT says; or, in a tolerant log, what can be guessed without it. */
static tg_log_code read_current(tg_log *log, tg_current *current, bool *is_new, tg_log_error *error) {
    memset(current, 0, sizeof *current);
    numbers there = {0};
    int number = each_file(log, see_segment, &there);
    if (number) return tg_log_fail(error, TG_LOG_IO, number, "listing the folder");
    const int file = openat(log->folder, "CURRENT", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        number = errno;
    } else {
        number = tg_read_at(file, current, sizeof *current, 0);
        close(file);
    }
    *is_new = number == ENOENT && !there.newest;
    if (*is_new) return TG_LOG_OK;
    if (number && number != ENOENT && number != EBADMSG)
        return tg_log_fail(error, TG_LOG_IO, number, "reading CURRENT");
    tg_log_code code = check_current(current, number, error);
    if (code == TG_LOG_DAMAGED && log->options.tolerant && there.newest) {
        if (there.newest - there.oldest >= MOST_SEGMENTS) return code;
        *current = (tg_current){.oldest = there.oldest, .newest = there.newest};
        return tg_damaged(log, 0, 0, number == ENOENT ? "it is missing" : "it is damaged", error);
    }
    /* An open log writes to a new segment before CURRENT names it, but calls it .new until then. */
    if (!code && there.newest > current->newest && !log->options.read_only)
        code = tg_log_fail(error, TG_LOG_DAMAGED, 0, "CURRENT is older than segment %llu",
                           (unsigned long long)there.newest);
    return code;
}

/* -- Segments ------------------------------------------------------------------------------------ */

static void set_seed(tg_log *log, const uint8_t seed[16]) {
    memcpy(log->seed, seed, sizeof log->seed);
    log->seed_crc = tg_crc32c(0, seed, sizeof log->seed);
}

static tg_log_code check_header(tg_log *log, uint64_t number, const tg_segment_header *header,
                                int failed, tg_log_error *error) {
    static const uint8_t none[16];
    const bool ours = !failed && !memcmp(header->magic, TG_SEGMENT_MAGIC, 8);
    if (ours && header->format > TG_LOG_FORMAT) return newer(error, "a segment", header->format);
    if (!ours || header->crc != tg_header_crc(header) || header->number != number)
        return tg_damaged(log, number, 0, "its header is damaged", error);
    if (!memcmp(log->seed, none, sizeof none)) set_seed(log, header->seed); /* CURRENT is lost */
    if (memcmp(header->seed, log->seed, sizeof log->seed))
        return tg_damaged(log, number, 0, "it belongs to another store", error);
    return TG_LOG_OK;
}

/* Opens a segment and reads its header, which says where the one before ends. */
static tg_log_code open_segment(tg_log *log, uint64_t number, tg_log_error *error) {
    tg_segment *segment = tg_segment_new(number);
    if (!segment || tg_segments_push(log, segment)) {
        free(segment);
        return io(error, ENOMEM, number);
    }
    char name[32];
    const char *endings[] = {"log", "new", "log"}; /* it may be renamed while we look */
    for (int i = 0; i < 3 && segment->file < 0; i++) {
        tg_segment_name(name, number, endings[i]);
        segment->file =
            openat(log->folder, name, (log->options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (segment->file < 0 && errno != ENOENT) return io(error, errno, number);
    }
    if (segment->file < 0) return tg_damaged(log, number, 0, "it is missing", error);
    tg_segment_header header;
    const int failed = tg_read_at(segment->file, &header, sizeof header, 0);
    if (failed && failed != EBADMSG) return io(error, failed, number);
    const size_t damages = log->n_damages;
    const tg_log_code code = check_header(log, number, &header, failed, error);
    if (code || log->n_damages > damages) return code;
    segment->first_group = header.first_group;
    segment->created = header.created;
    if (log->n_segments < 2) return TG_LOG_OK;
    tg_segment *before = log->segments[log->n_segments - 2];
    if (header.previous_end < TG_HEADER || header.previous_end % 8)
        return tg_damaged(log, number, 0, "its header is damaged", error);
    before->end = header.previous_end;
    if (before->first_group &&
        before->first_group + before->end - TG_HEADER != header.first_group)
        return tg_damaged(log, number, 0, "it does not follow the segment before", error);
    return TG_LOG_OK;
}

/* Reads a segment's bytes, up to its end if that is known. */
static tg_log_code read_bytes(tg_log *log, const tg_segment *segment, tg_buffer *bytes,
                              tg_log_error *error) {
    struct stat status;
    if (fstat(segment->file, &status)) return io(error, errno, segment->number);
    uint64_t size = (uint64_t)status.st_size;
    if (segment->end && segment->end < size) size = segment->end;
    bytes->size = 0;
    if (size > PTRDIFF_MAX || tg_grow(&bytes->data, &bytes->capacity, size + 1, 1))
        return io(error, ENOMEM, segment->number);
    const int number = tg_read_at(segment->file, bytes->data, size, 0);
    if (number == EBADMSG)
        return tg_damaged(log, segment->number, 0, "it was cut while we read it", error);
    if (number) return io(error, number, segment->number);
    bytes->size = size;
    return TG_LOG_OK;
}

/* Makes a segment's entries from its index file, or else from its frames. */
static tg_log_code load_entries(tg_log *log, tg_segment *segment, tg_buffer *bytes,
                                tg_log_error *error) {
    if (segment->file < 0) return TG_LOG_OK;
    const bool closed = segment->end != 0;
    /* Whoever looks for damage reads every frame. */
    if (closed && !log->options.tolerant && !tg_read_index(log, segment)) {
        log->stats.frames_indexed += segment->n_entries;
        struct stat status;
        if (fstat(segment->file, &status)) return io(error, errno, segment->number);
        if ((uint64_t)status.st_size >= segment->end) return TG_LOG_OK;
        segment->n_entries = 0;
        segment->indexed = false;
    }
    tg_log_code code = read_bytes(log, segment, bytes, error);
    if (code) return code;
    if (closed) return tg_scan_sealed(log, segment, bytes->data, bytes->size, error);
    return tg_scan_tail(log, segment, bytes->data, bytes->size, error);
}

static tg_log_code apply(tg_log *log, tg_segment *segment, tg_log_error *error) {
    if (tg_index_reserve_for(&log->index, segment->entries, segment->n_entries))
        return io(error, ENOMEM, segment->number);
    tg_apply(log, segment, segment->entries, segment->n_entries);
    return TG_LOG_OK;
}

tg_log_code tg_load_index(tg_log *log, tg_log_error *error) {
    tg_buffer bytes = {0};
    tg_log_code code = TG_LOG_OK;
    for (size_t i = 0; i < log->n_segments && !code; i++) {
        tg_segment *segment = log->segments[i];
        if (!segment->n_entries) code = load_entries(log, segment, &bytes, error);
        if (!code) code = apply(log, segment, error);
        if (segment->indexed || log->options.read_only) tg_drop_entries(segment);
    }
    free(bytes.data);
    return code;
}

/* The newest one first: a process that has the log open may change it any moment. The others stay as
 * they are, for as long as we have them open. */
tg_log_code tg_load(tg_log *log, bool *is_new, tg_log_error *error) {
    tg_current current, again;
    tg_log_code code = read_current(log, &current, is_new, error);
    if (code || *is_new) return code;
    set_seed(log, current.seed);
    for (uint64_t number = current.oldest; number <= current.newest && !code; number++)
        code = open_segment(log, number, error);
    if (code) return code;
    tg_buffer bytes = {0};
    tg_segment *newest = tg_newest(log);
    newest->end = current.end;
    code = load_entries(log, newest, &bytes, error);
    free(bytes.data);
    if (code || !log->options.read_only) return code ? code : tg_load_index(log, error);
    code = read_current(log, &again, is_new, error);
    if (!code && memcmp(&current, &again, sizeof again))
        return tg_log_fail(error, TG_LOG_DAMAGED, EAGAIN, "the log is changing too fast to be read");
    return code ? code : tg_load_index(log, error);
}
