/* The values of a category: from a text to its index. */
#ifndef TIDEGATE_VOCABULARY_H
#define TIDEGATE_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *data; /* UTF-8, not ended by a zero */
    size_t size;
} tg_text;

typedef struct tg_vocabulary tg_vocabulary;

#define TG_MAX_VOCABULARY ((size_t)0xffffff) /* an index travels as float, which counts to 2^24 */

/* Copies `n` different texts, at most TG_MAX_VOCABULARY; NULL where there is no memory. */
tg_vocabulary *tg_vocabulary_new(size_t n, const tg_text *texts);
void tg_vocabulary_free(tg_vocabulary *vocabulary);

/* i + 1 for the text i of tg_vocabulary_new, 0 for any other. */
uint32_t tg_vocabulary_index(const tg_vocabulary *vocabulary, tg_text text);

#endif
