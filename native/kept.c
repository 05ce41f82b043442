#include "kept.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 8, ROW = sizeof(tg_answer_row) };
enum { MOST_AT_HOME = 512 }; /* about what the rest of a session takes */

_Static_assert(ROW == 32, "rows are those of a record");

static tg_answer_row row_at(const uint8_t *section, size_t i) {
    tg_answer_row row;
    memcpy(&row, section + HEAD + i * ROW, sizeof row);
    return row;
}

static size_t count_of(const uint8_t *section) {
    uint32_t count;
    memcpy(&count, section, sizeof count);
    return count;
}

static size_t bytes_of(tg_answer_row row) { return row.length + (size_t)(row.more >> 8); }

size_t tg_kept_home(const tg_limits *limits) {
    const size_t full = HEAD + limits->answers * (ROW + limits->answer_size);
    return full <= MOST_AT_HOME && limits->answers * limits->answer_size <= limits->bytes ? full : 0;
}

void tg_kept_free(tg_kept *kept) {
    if (kept->capacity) free(kept->data);
    *kept = (tg_kept){0};
}

void tg_kept_clear(tg_kept *kept) { kept->size = 0; }

/* How many of the oldest answers go where one more comes, and their bytes. */
static size_t surplus(const tg_kept *kept, const tg_limits *limits, size_t *bytes) {
    size_t i = tg_kept_count(kept), left = limits->answers - 1, total = limits->answer_size;
    for (; i > 0 && left > 0; i--, left--) {
        total += row_at(kept->data, i - 1).length;
        if (total > limits->bytes) break;
    }
    *bytes = 0;
    for (size_t k = 0; k < i; k++) *bytes += bytes_of(row_at(kept->data, k));
    return i;
}

int tg_kept_reserve(tg_kept *kept, const tg_limits *limits, uint8_t *home, bool alone) {
    const size_t one = ROW + limits->answer_size;
    size_t wanted = HEAD + one;
    if (!alone && kept->size) {
        size_t gone;
        const size_t first = surplus(kept, limits, &gone);
        wanted = kept->size - first * ROW - gone + one;
    }
    if (!kept->capacity && wanted <= limits->home) {
        kept->data = home;
        return 0;
    }
    if (wanted <= kept->capacity) return 0;
    /* Twice what it was, but no more than it is to hold in the end. */
    const size_t full = HEAD + limits->answers * one, twice = (size_t)2 * kept->capacity;
    const size_t less = twice < full ? twice : full, capacity = less > wanted ? less : wanted;
    if (capacity > UINT32_MAX) return -1;
    uint8_t *grown = realloc(kept->capacity ? kept->data : NULL, capacity);
    if (!grown) return -1;
    if (!kept->capacity && kept->size) memcpy(grown, kept->data, kept->size); /* they leave home */
    kept->data = grown;
    kept->capacity = (uint32_t)capacity;
    return 0;
}

void tg_kept_add(tg_kept *kept, const tg_limits *limits, int64_t seq, uint64_t hash, double time,
                 const void *answer, bool reset) {
    if (!kept->size) {
        memset(kept->data, 0, HEAD);
        kept->size = HEAD;
    }
    size_t gone;
    const size_t count = tg_kept_count(kept), first = surplus(kept, limits, &gone), left = count - first;
    const tg_answer_row row = {(uint64_t)seq, hash, time, (uint32_t)limits->answer_size, reset};
    uint8_t *rows = kept->data + HEAD, *bytes = rows + count * ROW;
    const size_t staying = kept->size - HEAD - count * ROW - gone;
    /* Rows move down; bytes go behind the rows that will be there, up or down. */
    uint8_t *new_bytes = rows + (left + 1) * ROW;
    if (first) memmove(rows, rows + first * ROW, left * ROW);
    memmove(new_bytes, bytes + gone, staying);
    memcpy(rows + left * ROW, &row, ROW);
    memcpy(new_bytes + staying, answer, limits->answer_size);
    kept->size = (uint32_t)(HEAD + (left + 1) * ROW + staying + limits->answer_size);
    const uint32_t now = (uint32_t)(left + 1);
    memcpy(kept->data, &now, sizeof now);
}

tg_kept_answer tg_kept_at(const tg_kept *kept, size_t i) {
    size_t at = HEAD + tg_kept_count(kept) * ROW;
    for (size_t k = 0; k < i; k++) at += bytes_of(row_at(kept->data, k));
    const tg_answer_row row = row_at(kept->data, i);
    const size_t version = row.more >> 8;
    return (tg_kept_answer){(int64_t)row.seq,
                            row.hash,
                            row.time,
                            row.more & 1,
                            {kept->data + at, version},
                            {kept->data + at + version, row.length}};
}

bool tg_kept_fits(tg_span section, size_t answer_size) {
    for (size_t i = 0; i < count_of(section.data); i++)
        if (row_at(section.data, i).length != answer_size) return false;
    return true;
}

int tg_kept_load(tg_kept *kept, const tg_limits *limits, uint8_t *home, tg_span section, tg_span version) {
    const size_t count = count_of(section.data);
    size_t size = section.size;
    if (!count) return 0;
    for (size_t i = 0; i < count; i++)
        if (!(row_at(section.data, i).more >> 8)) size += version.size;
    if (size > UINT32_MAX) return -1;
    const bool fits = size <= limits->home;
    uint8_t *data = fits ? home : malloc(size);
    if (!data) return -1;
    memcpy(data, section.data, HEAD);
    const uint8_t *from = section.data + HEAD + count * ROW;
    uint8_t *to = data + HEAD + count * ROW;
    for (size_t i = 0; i < count; i++) {
        tg_answer_row row = row_at(section.data, i);
        const size_t bytes = bytes_of(row);
        if (!(row.more >> 8) && version.size) {
            row.more |= (uint32_t)version.size << 8;
            memcpy(to, version.data, version.size);
            to += version.size;
        }
        memcpy(data + HEAD + i * ROW, &row, ROW);
        if (bytes) memcpy(to, from, bytes);
        from += bytes;
        to += bytes;
    }
    *kept = (tg_kept){data, (uint32_t)size, fits ? 0 : (uint32_t)size};
    return 0;
}
