#include "vocabulary.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Open addressing with linear probing, at most half full. Nothing is added after the build, so what a
 * client sends cannot lengthen a chain. A tag (the hash's upper half) spares most comparisons of text;
 * the text itself always decides. */
typedef struct {
    uint32_t tag;
    uint32_t index; /* 0: free */
} entry;

struct tg_vocabulary {
    size_t mask; /* entries - 1; a power of 2 of them */
    entry *entries;
    size_t *starts; /* text i is bytes[starts[i]] to bytes[starts[i + 1]] */
    char *bytes;
};

/* Multiply and fold, 8 bytes at a time. It never leaves the process, so byte order is no matter. */
static uint64_t hash(tg_text text) {
    const uint64_t factor = 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio, made odd */
    uint64_t h = text.size * factor;
    for (size_t at = 0; at < text.size; at += 8) {
        uint64_t part = 0;
        memcpy(&part, text.data + at, text.size - at < 8 ? text.size - at : 8);
        h = (h ^ part) * factor;
        h ^= h >> 32;
    }
    h *= factor;
    return h ^ (h >> 29);
}

static bool is_text(const tg_vocabulary *vocabulary, uint32_t index, tg_text text) {
    const size_t start = vocabulary->starts[index - 1];
    return vocabulary->starts[index] - start == text.size &&
           (text.size == 0 || memcmp(vocabulary->bytes + start, text.data, text.size) == 0);
}

/* The entry of the text, or the free one where it would be. */
static entry *find(const tg_vocabulary *vocabulary, tg_text text, uint64_t hashed) {
    const uint32_t tag = (uint32_t)(hashed >> 32);
    for (size_t at = hashed & vocabulary->mask;; at = (at + 1) & vocabulary->mask) {
        entry *found = &vocabulary->entries[at];
        if (found->index == 0) return found;
        if (found->tag == tag && is_text(vocabulary, found->index, text)) return found;
    }
}

tg_vocabulary *tg_vocabulary_new(size_t n, const tg_text *texts) {
    tg_vocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    if (!vocabulary) return NULL;
    size_t entries = 2, bytes = 0;
    while (entries < 2 * n) entries *= 2;
    for (size_t i = 0; i < n; i++) bytes += texts[i].size;
    vocabulary->mask = entries - 1;
    vocabulary->entries = calloc(entries, sizeof *vocabulary->entries);
    vocabulary->starts = calloc(n + 1, sizeof *vocabulary->starts);
    vocabulary->bytes = malloc(bytes + 1);
    if (!vocabulary->entries || !vocabulary->starts || !vocabulary->bytes) {
        tg_vocabulary_free(vocabulary);
        return NULL;
    }
    for (size_t i = 0, end = 0; i < n; i++) {
        const uint64_t hashed = hash(texts[i]);
        if (texts[i].size) memcpy(vocabulary->bytes + end, texts[i].data, texts[i].size);
        end += texts[i].size;
        vocabulary->starts[i + 1] = end;
        *find(vocabulary, texts[i], hashed) = (entry){(uint32_t)(hashed >> 32), (uint32_t)i + 1};
    }
    return vocabulary;
}

void tg_vocabulary_free(tg_vocabulary *vocabulary) {
    if (!vocabulary) return;
    free(vocabulary->entries);
    free(vocabulary->starts);
    free(vocabulary->bytes);
    free(vocabulary);
}

uint32_t tg_vocabulary_index(const tg_vocabulary *vocabulary, tg_text text) {
    return find(vocabulary, text, hash(text))->index;
}
