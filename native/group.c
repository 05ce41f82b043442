#include "group.h"

#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "grow.h"

_Static_assert(sizeof(tg_frame) == 40, "frames have no padding of a compiler's");

void tg_group_free(tg_group *group) {
    free(group->data);
    free(group->offsets);
    memset(group, 0, sizeof *group);
}

void tg_group_clear(tg_group *group) { group->size = group->n = 0; }

uint8_t *tg_group_add(tg_group *group, const void *key, size_t key_size, tg_frame_kind kind, double stamp,
                      size_t value_size) {
    const size_t size = tg_frame_size(key_size, value_size);
    if (tg_grow(&group->data, &group->capacity, group->size + size, 1)) return NULL;
    if (tg_grow(&group->offsets, &group->offsets_capacity, group->n + 1, sizeof(size_t))) return NULL;
    uint8_t *at = group->data + group->size;
    tg_frame *frame = (tg_frame *)(void *)at;
    memset(frame, 0, sizeof *frame);
    memset(at + size - 8, 0, 8); /* the padding; the value is written over what is not */
    frame->value_size = (uint32_t)value_size;
    frame->key_size = (uint16_t)key_size;
    frame->kind = (uint8_t)kind;
    frame->stamp = stamp;
    memcpy(at + sizeof *frame, key, key_size);
    group->offsets[group->n++] = group->size;
    group->size += size;
    return at + sizeof *frame + key_size;
}

void tg_group_seal(tg_group *group) {
    tg_frame *frame = tg_group_frame(group, group->n - 1);
    frame->value_crc = tg_crc32c(0, tg_frame_value(frame), frame->value_size);
}
