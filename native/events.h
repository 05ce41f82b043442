/* Raw events of different sessions through the schema, then through the kernels. Whatever goes wrong with
 * one leaves its session as it was, and the others alone. */
#ifndef TIDEGATE_EVENTS_H
#define TIDEGATE_EVENTS_H

#include "encode.h"
#include "step.h"

/* What is wrong with an event; the schema's faults (tg_fault) come before these. */
enum { TG_ROW_BAD = 100, TG_OUTPUT_NOT_FINITE = 101 };

/* One event. Members from `output` on are written. */
typedef struct {
    const double *raw; /* a value a field, as tg_encode takes them */
    double time;
    double *encoder; /* what its session remembers */
    float *hidden;
    bool begins; /* the session begins (anew): what it remembers goes, unless the event fails */
    float *output;
    int32_t fault; /* 0: applied */
    int32_t field; /* of the schema's faults */
} tg_event;

/* Memory for up to `capacity` events at a time. */
typedef struct {
    const tg_model *model;
    const tg_schema *schema;
    size_t capacity;
    float *rows, *made, *saved;
    double *saved_encoder;
    float **states;
    uint32_t *good;
} tg_bench;

/* 0, or -1: out of memory. The model and the schema stay alive; the sizes of their rows are the same. */
int tg_bench_new(tg_bench *bench, const tg_model *model, const tg_schema *schema, size_t capacity);
void tg_bench_free(tg_bench *bench); /* all zeros: nothing to free */

/* Steps n <= capacity events of different sessions; outputs of those that fail are NaN. How many failed. */
size_t tg_step_events(const tg_bench *bench, size_t n, tg_event *events, tg_threads threads);

/* How many events a call takes well: those of one thread stay in its cache. */
#define TG_MOST_EVENTS ((size_t)16 * TG_BLOCK)
static inline size_t tg_events_at_once(tg_threads threads) {
    return threads.pool ? TG_MOST_EVENTS : TG_BLOCK;
}

#endif
