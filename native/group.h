/* A group of changes on their way to a log: frames, end to end, as they will lie in its segments.
 *
 * A frame is a header, a key, a value, and zeros up to a multiple of 8 bytes. Little-endian. Whoever
 * makes a group fills in all but what only the log knows: `header_crc`, `segment`, `group` and `ends`.
 */
#ifndef TIDEGATE_GROUP_H
#define TIDEGATE_GROUP_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    TG_FRAME_VALUE = 1,     /* a value that does not age: what the store says of itself */
    TG_FRAME_LIVE = 2,      /* the record of a live session */
    TG_FRAME_TOMBSTONE = 3, /* the record of one that ended, was deleted or expired */
    TG_FRAME_DELETE = 4     /* no value: the key is forgotten */
} tg_frame_kind;

typedef struct {
    uint32_t header_crc; /* CRC-32C of the log's seed, the rest of the header and the key */
    uint32_t value_crc;  /* CRC-32C of the value */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t kind; /* tg_frame_kind */
    uint8_t ends; /* 1 in the last frame of a group */
    uint64_t segment; /* number of the segment that the frame was written to */
    uint64_t group;   /* position in the log at which begins what is synced with it; grows */
    double stamp;     /* unix seconds at which the value last changed */
} tg_frame;

typedef struct {
    uint8_t *data;
    size_t size, capacity;
    size_t *offsets; /* of each frame in `data` */
    size_t n, offsets_capacity;
} tg_group;

/* An empty group is all zeros. */
void tg_group_free(tg_group *group); /* and leaves it empty */
void tg_group_clear(tg_group *group); /* keeps its memory */

/* Adds a frame; returns where its value is to be written (then `tg_group_seal`). NULL: out of memory,
 * and the group is as it was. */
uint8_t *tg_group_add(tg_group *group, const void *key, size_t key_size, tg_frame_kind kind, double stamp,
                      size_t value_size);

/* Computes the checksum of the value of the last frame. */
void tg_group_seal(tg_group *group);

static inline size_t tg_frame_size(size_t key_size, size_t value_size) {
    return (sizeof(tg_frame) + key_size + value_size + 7) & ~(size_t)7;
}

static inline tg_frame *tg_group_frame(const tg_group *group, size_t i) {
    return (tg_frame *)(void *)(group->data + group->offsets[i]);
}

static inline const uint8_t *tg_frame_key(const tg_frame *frame) { return (const uint8_t *)(frame + 1); }

static inline const uint8_t *tg_frame_value(const tg_frame *frame) {
    return tg_frame_key(frame) + frame->key_size;
}

#endif
