/* A few threads that share the blocks of one call.
 *
 * They sleep between calls. A pool serves one call at a time; its owner sees to that. In a child process
 * made by fork, where the threads are gone, a call runs on the caller's thread alone.
 */
#ifndef TIDEGATE_POOL_H
#define TIDEGATE_POOL_H

#include <stddef.h>

typedef struct tg_pool tg_pool;

/* With so many threads, the caller's included; at least 2. NULL: out of memory or threads. */
tg_pool *tg_pool_new(size_t threads);
void tg_pool_free(tg_pool *pool);

/* Calls work(context, job, thread) for every job below `jobs`, each once, and returns when all are done.
 * `thread` is below the pool's number of threads, and no two jobs have the same one at the same time. */
void tg_pool_run(tg_pool *pool, size_t jobs, void (*work)(void *context, size_t job, size_t thread),
                 void *context);

#endif
