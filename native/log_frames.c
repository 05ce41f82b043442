#include <errno.h>
#include <string.h>

#include "crc32c.h"
#include "log_internal.h"

static uint32_t header_crc(const tg_log *log, const tg_frame *frame) {
    const size_t rest = sizeof *frame - sizeof frame->header_crc + frame->key_size;
    return tg_crc32c(log->seed_crc, (const uint8_t *)frame + sizeof frame->header_crc, rest);
}

void tg_frame_stamp(const tg_log *log, tg_frame *frame, uint64_t segment, uint64_t group) {
    frame->segment = segment;
    frame->group = group;
    frame->header_crc = header_crc(log, frame);
}

const tg_frame *tg_frame_begins_at(const tg_log *log, uint64_t number, const uint8_t *data,
                                   uint64_t room) {
    const tg_frame *frame = (const tg_frame *)(const void *)data;
    if (room < sizeof *frame || frame->segment != number) return NULL;
    if (frame->kind < TG_FRAME_VALUE || frame->kind > TG_FRAME_DELETE) return NULL;
    if (sizeof *frame + frame->key_size > room) return NULL;
    return frame->header_crc == header_crc(log, frame) ? frame : NULL;
}

const tg_frame *tg_frame_at(const tg_log *log, uint64_t number, const uint8_t *data, uint64_t room) {
    const tg_frame *frame = tg_frame_begins_at(log, number, data, room);
    return frame && tg_whole_size(frame) <= room ? frame : NULL;
}

bool tg_frame_value_sound(const tg_frame *frame) {
    return tg_crc32c(0, tg_frame_value(frame), frame->value_size) == frame->value_crc;
}

int tg_group_copy(tg_group *group, const tg_frame *frame) {
    uint8_t *value = tg_group_add(group, tg_frame_key(frame), frame->key_size, frame->kind, frame->stamp,
                                  frame->value_size);
    if (!value) return ENOMEM;
    memcpy(value, tg_frame_value(frame), frame->value_size);
    tg_frame *copy = tg_group_frame(group, group->n - 1);
    copy->value_crc = frame->value_crc; /* as it is: a damaged value stays one */
    copy->ends = frame->ends;
    return 0;
}

tg_log_code tg_damaged(tg_log *log, uint64_t segment, uint64_t offset, const char *what,
                       tg_log_error *error) {
    if (tg_grow(&log->damages, &log->damages_capacity, log->n_damages + 1, sizeof(tg_log_damage)))
        return tg_log_fail(error, TG_LOG_IO, ENOMEM, "reading the log");
    log->damages[log->n_damages++] = (tg_log_damage){segment, offset, what};
    if (log->options.tolerant) return TG_LOG_OK;
    char name[32];
    tg_segment_name(name, segment, "log");
    return tg_log_fail(error, TG_LOG_DAMAGED, 0, "%s at byte %llu: %s", segment ? name : "CURRENT",
                       (unsigned long long)offset, what);
}

/* The next frame behind an invalid one: frames begin at multiples of 8 bytes. */
static uint64_t next_frame(const tg_log *log, uint64_t number, const uint8_t *data, uint64_t at,
                           uint64_t size) {
    for (at += 8; at + sizeof(tg_frame) <= size; at += 8)
        if (tg_frame_at(log, number, data + at, size - at)) return at;
    return size;
}

static tg_log_code add_entry(tg_log *log, tg_segment *segment, const tg_frame *frame, uint64_t offset,
                             tg_log_error *error) {
    if (tg_segment_add_entry(log, segment, frame, offset))
        return tg_log_fail(error, TG_LOG_IO, ENOMEM, "reading the log");
    log->stats.frames_scanned++;
    return TG_LOG_OK;
}

/* Frames from `at` up to `end`, which must be whole. */
static tg_log_code scan(tg_log *log, tg_segment *segment, const uint8_t *data, uint64_t at, uint64_t end,
                        tg_log_error *error) {
    tg_log_code code = TG_LOG_OK;
    while (at < end && !code) {
        const tg_frame *frame = tg_frame_at(log, segment->number, data + at, end - at);
        if (frame) {
            code = add_entry(log, segment, frame, at, error);
            at += tg_whole_size(frame);
        } else {
            code = tg_damaged(log, segment->number, at, "no frame begins where one should", error);
            at = next_frame(log, segment->number, data, at, end);
        }
    }
    return code;
}

tg_log_code tg_scan_sealed(tg_log *log, tg_segment *segment, const uint8_t *data, uint64_t size,
                           tg_log_error *error) {
    tg_log_code code = scan(log, segment, data, TG_HEADER, size, error);
    if (!code && size < segment->end)
        code = tg_damaged(log, segment->number, size, "the file ends before its last frame", error);
    return code;
}

/* Where the last sync group begins, which alone may have gaps; the first gap; the last frame's end. */
typedef struct {
    uint64_t group, start, gap, end;
} tail;

static tail find_tail(const tg_log *log, const tg_segment *segment, const uint8_t *data, uint64_t size) {
    tail found = {segment->first_group, TG_HEADER, 0, TG_HEADER};
    for (uint64_t at = TG_HEADER; at < size;) {
        const tg_frame *frame = tg_frame_at(log, segment->number, data + at, size - at);
        const uint64_t back = frame ? frame->group - segment->first_group : 0;
        if (frame && back <= at - TG_HEADER && back % 8 == 0) {
            if (frame->group > found.group) {
                found.group = frame->group;
                found.start = TG_HEADER + back;
            }
            at += tg_whole_size(frame);
            found.end = at;
        } else {
            if (!found.gap) found.gap = at;
            at = next_frame(log, segment->number, data, at, size);
        }
    }
    if (!found.gap) found.gap = size;
    return found;
}

/* The whole groups at the beginning of the last sync group. Nobody knows whether they were synced: a
 * disk may have failed to, while memory still shows them. So they are carried over and written anew. */
static tg_log_code take_last_group(tg_log *log, tg_segment *segment, const uint8_t *data, tail tail,
                                   uint64_t size, tg_log_error *error) {
    size_t n = segment->n_entries;
    size_t whole_frames = 0, whole_bytes = 0;
    for (uint64_t at = tail.start; at < size;) {
        const tg_frame *frame = tg_frame_at(log, segment->number, data + at, size - at);
        if (!frame || frame->group != tail.group || !tg_frame_value_sound(frame)) break;
        const tg_log_code code = add_entry(log, segment, frame, at, error);
        if (code) return code;
        if (!log->options.read_only && tg_group_copy(&log->carried, frame))
            return tg_log_fail(error, TG_LOG_IO, ENOMEM, "reading the log");
        at += tg_whole_size(frame);
        if (!frame->ends) continue;
        n = segment->n_entries;
        whole_frames = log->carried.n;
        whole_bytes = log->carried.size;
        segment->end = at;
    }
    segment->n_entries = n;
    log->carried.n = whole_frames;
    log->carried.size = whole_bytes;
    return TG_LOG_OK;
}

static bool all_zeros(const uint8_t *data, uint64_t size) {
    return !data[0] && !memcmp(data, data + 1, size - 1);
}

tg_log_code tg_scan_tail(tg_log *log, tg_segment *segment, const uint8_t *data, uint64_t size,
                         tg_log_error *error) {
    const tail tail = find_tail(log, segment, data, size);
    segment->end = tail.start;
    if (tail.gap < tail.start && log->options.tolerant) {
        /* Everything that can be read; but room that was taken in advance is no damage. A file may
         * end within its header. */
        const bool has_room = tail.end < size && all_zeros(data + tail.end, size - tail.end);
        segment->end = has_room ? tail.end : size;
        return scan(log, segment, data, TG_HEADER, segment->end, error);
    }
    tg_log_code code = scan(log, segment, data, TG_HEADER, tail.start, error);
    const size_t durable = segment->n_entries;
    if (!code) code = take_last_group(log, segment, data, tail, size, error);
    if (!code && !log->options.read_only) {
        segment->n_entries = durable;
        segment->end = tail.start;
    }
    return code;
}
