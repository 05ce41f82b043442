#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    tg_pool *pool;
    size_t number;
    pthread_t thread;
} worker;

struct tg_pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, done;
    size_t round;   /* counts calls, so that a worker knows a new one */
    size_t working; /* workers that have not finished this round */
    bool stop;
    pid_t process;
    size_t jobs;
    _Atomic size_t next;
    void (*work)(void *context, size_t job, size_t thread);
    void *context;
    size_t n_workers;
    worker workers[];
};

static void take_jobs(tg_pool *pool, size_t thread) {
    for (size_t job; (job = atomic_fetch_add(&pool->next, 1)) < pool->jobs;)
        pool->work(pool->context, job, thread);
}

static void *serve(void *argument) {
    worker *me = argument;
    tg_pool *pool = me->pool;
    size_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->stop) pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->stop) break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        take_jobs(pool, me->number);
        pthread_mutex_lock(&pool->lock);
        if (--pool->working == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

tg_pool *tg_pool_new(size_t threads) {
    tg_pool *pool = calloc(1, sizeof *pool + (threads - 1) * sizeof(worker));
    if (!pool) return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->process = getpid();
    for (; pool->n_workers < threads - 1; pool->n_workers++) {
        worker *each = &pool->workers[pool->n_workers];
        each->pool = pool;
        each->number = pool->n_workers + 1;
        if (pthread_create(&each->thread, NULL, serve, each)) {
            tg_pool_free(pool);
            return NULL;
        }
    }
    return pool;
}

void tg_pool_free(tg_pool *pool) {
    if (!pool) return;
    if (pool->process == getpid()) { /* else there is nobody to wait for */
        pthread_mutex_lock(&pool->lock);
        pool->stop = true;
        pthread_cond_broadcast(&pool->begin);
        pthread_mutex_unlock(&pool->lock);
        for (size_t i = 0; i < pool->n_workers; i++) pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->begin);
        pthread_cond_destroy(&pool->done);
        pthread_mutex_destroy(&pool->lock);
    }
    free(pool);
}

void tg_pool_run(tg_pool *pool, size_t jobs, void (*work)(void *context, size_t job, size_t thread),
                 void *context) {
    if (jobs < 2 || pool->process != getpid()) {
        for (size_t job = 0; job < jobs; job++) work(context, job, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->jobs = jobs;
    pool->work = work;
    pool->context = context;
    atomic_store(&pool->next, 0);
    pool->working = pool->n_workers;
    pool->round++;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    take_jobs(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->working) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
