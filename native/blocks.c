#define _DEFAULT_SOURCE /* madvise */
#include "blocks.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pages.h"

typedef struct {
    void *memory;
    size_t size;
    bool taken;
    uint64_t given; /* how many had been taken then */
} block;

enum { PATIENCE = 1024 }; /* times that others were taken before a block goes back to the system */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block *blocks;
static size_t count, room;
static uint64_t taken_so_far; /* our clock */

/* One of few sizes, a quarter apart at the most: batches are seldom equally large, and share blocks. */
static size_t size_of(size_t bytes) {
    size_t step = TG_HUGE_PAGE;
    while (step <= bytes / 8) step *= 2;
    return (bytes + step - 1) / step * step;
}

static block *smallest_that_fits(size_t size) {
    block *best = NULL;
    for (block *b = blocks; b < blocks + count; b++)
        if (!b->taken && b->size >= size && b->size / 2 <= size && (!best || b->size < best->size)) best = b;
    return best;
}

static block *added(size_t size) {
    if (count == room) {
        block *more = realloc(blocks, (2 * room + 8) * sizeof *more);
        if (!more) return NULL;
        blocks = more;
        room = 2 * room + 8;
    }
    void *memory = tg_map(size, true);
    if (!memory) return NULL;
    blocks[count] = (block){.memory = memory, .size = size};
    return &blocks[count++];
}

static void forget_unwanted(void) {
    for (size_t i = count; i-- > 0;)
        if (!blocks[i].taken && taken_so_far - blocks[i].given > PATIENCE) {
            tg_unmap(blocks[i].memory, blocks[i].size);
            blocks[i] = blocks[--count];
        }
}

void *tg_block_take(size_t bytes) {
    const size_t size = size_of(bytes);
    pthread_mutex_lock(&lock);
    taken_so_far++;
    forget_unwanted();
    block *found = smallest_that_fits(size);
    if (!found) found = added(size);
    if (found) found->taken = true;
    void *memory = found ? found->memory : NULL;
    pthread_mutex_unlock(&lock);
    return memory;
}

void tg_block_give(void *memory) {
    pthread_mutex_lock(&lock);
    for (block *b = blocks; b < blocks + count; b++)
        if (b->memory == memory) {
            b->taken = false;
            b->given = taken_so_far;
#ifdef MADV_FREE
            madvise(memory, b->size, MADV_FREE);
#endif
        }
    pthread_mutex_unlock(&lock);
}

size_t tg_blocks_waiting(void) {
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (const block *b = blocks; b < blocks + count; b++) bytes += b->taken ? 0 : b->size;
    pthread_mutex_unlock(&lock);
    return bytes;
}
