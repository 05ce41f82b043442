/* Replays sequences of training, forward and backward: see replay.c. fp32 must be equal to the bit to a set with
 * FMA (scalar: to scalar), bf16 near. What belongs to a session must have the same bits with any number of
 * threads; sums over sessions, which are added up group by group, are near, and the same each time.
 *
 * Every array is allocated by itself, exactly as long as train.h says. Some rows are no session's: they hold
 * NaNs where they are read, and must be left as they were where they are written. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "kernels.h"

enum { UNTOUCHED = 0x40e0 }; /* 7.0 in bf16, in the upper half of a float */

/* -- Threads ------------------------------------------------------------------------------------------ */

typedef struct {
    void (*work)(void *);
    void *context;
} job;

static void *start(void *given) {
    const job *mine = given;
    mine->work(mine->context);
    return NULL;
}

static unsigned most_threads;

/* train.c finds this one by its name, as it would GNU's OpenMP. */
void GOMP_parallel(void (*work)(void *), void *context, unsigned threads, unsigned flags);
void GOMP_parallel(void (*work)(void *), void *context, unsigned threads, unsigned flags) {
    job given = {work, context};
    pthread_t others[64];
    (void)flags;
    if (threads - 1 > 64) fail("more threads than were asked for");
    if (threads > most_threads) most_threads = threads;
    for (unsigned i = 0; i + 1 < threads; i++)
        if (pthread_create(&others[i], NULL, start, &given) != 0) fail("no thread");
    work(context);
    for (unsigned i = 0; i + 1 < threads; i++) pthread_join(others[i], NULL);
}

/* -- One case ----------------------------------------------------------------------------------------- */

typedef struct {
    const float *y, *h_end, *c_end, *d, *dh, *dc, *sums;
} result;

typedef struct {
    const char *name;
    tg_sequence q; /* without what it writes */
    size_t rows, sums;
    result scalar, fused;
} sequence;

/* Numbers as floats, whatever the case has them in. */
static const float *widened(const sequence *s, size_t n, const void *from) {
    if (s->q.precision == TG_F32) return from;
    float *made = exact(n * sizeof *made);
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
        memcpy(made + i, &bits, sizeof bits);
    }
    return made;
}

static size_t d_count(const sequence *s) {
    return s->rows * tg_layout_of(s->q.cell, s->q.gain).d * s->q.hidden_size;
}

static result wanted(const sequence *s) {
    result made;
    made.y = array(NULL, 0);
    made.h_end = array(NULL, 0);
    made.c_end = array(NULL, 0);
    made.d = widened(s, d_count(s), array(NULL, 0));
    made.dh = array(NULL, 0);
    made.dc = array(NULL, 0);
    made.sums = array(NULL, 0);
    return made;
}

static sequence next_sequence(void) {
    sequence made = {.name = array(NULL, 1)};
    tg_sequence *q = &made.q;
    q->cell = (tg_cell)number();
    q->precision = (tg_precision)number();
    q->hidden_size = number();
    q->sessions = number();
    made.rows = number();
    q->reverse = number();
    const float *rates = array(NULL, 0);
    q->keep_rate = rates[0];
    q->keep_cell_rate = rates[1];
    q->lengths = array(NULL, 0);
    q->offsets = array(NULL, 0);
    q->weight = array(NULL, 0);
    q->bias = array(NULL, 0);
    q->gain_input = optional();
    q->gain = optional();
    q->cell_gain = optional();
    q->cell_shift = optional();
    q->peephole = optional();
    q->mask = optional();
    q->keep = optional();
    q->keep_cell = optional();
    q->h = array(NULL, 0);
    q->c = optional();
    q->a = array(NULL, 0);
    q->dy = optional();
    q->dh_end = optional();
    q->dc_end = optional();
    made.sums = tg_sums(q);
    made.scalar = wanted(&made);
    made.fused = wanted(&made);
    return made;
}

static float *untouched(size_t n) {
    float *made = exact(n * sizeof *made);
    const uint32_t bits = (uint32_t)UNTOUCHED << 16;
    for (size_t i = 0; i < n; i++) memcpy(made + i, &bits, sizeof bits);
    return made;
}

/* Forward and backward on so many threads. */
static result walk(const sequence *s, size_t threads) {
    tg_sequence q = s->q;
    const size_t H = q.hidden_size, state = q.sessions * H;
    const bool lstm = q.cell == TG_LSTM;
    const tg_layout layout = tg_layout_of(q.cell, q.gain);
    float *y = q.y = untouched(s->rows * H), *again = untouched(s->rows * H);
    float *h_end = q.h_end = untouched(state), *c_end = q.c_end = lstm ? untouched(state) : NULL;
    q.kept = untouched(s->rows * layout.kept * H);
    q.moments = q.gain ? exact(s->rows * TG_MOMENTS * sizeof *q.moments) : NULL;
    if (tg_forward(&q, threads) < 0) fail("out of memory");

    tg_sequence kept_none = q;
    kept_none.y = again;
    kept_none.h_end = untouched(state);
    kept_none.c_end = lstm ? untouched(state) : NULL;
    kept_none.kept = NULL;
    kept_none.moments = NULL;
    if (tg_forward(&kept_none, threads) < 0) fail("out of memory");
    if (difference(s->rows * H, again, y) != 0.0) fail("y has other bits where nothing is kept");

    const size_t n_d = d_count(s);
    uint16_t *halves = NULL;
    if (q.precision == TG_F32) {
        q.d = untouched(n_d);
    } else {
        q.d = halves = exact(n_d * sizeof *halves);
        for (size_t i = 0; i < n_d; i++) halves[i] = UNTOUCHED;
    }
    float *dh = q.dh = untouched(state), *dc = q.dc = lstm ? untouched(state) : NULL;
    float *sums = q.sums = untouched(s->sums);
    if (!q.gain) q.a = NULL; /* the way back has no use for it */
    if (tg_backward(&q, threads) < 0) fail("out of memory");
    return (result){y, h_end, c_end, widened(s, n_d, q.d), dh, dc, sums};
}

/* Of all that belongs to one session. */
static double own_difference(const sequence *s, result x, result y) {
    const size_t H = s->q.hidden_size, state = s->q.sessions * H, cells = s->q.cell == TG_LSTM ? state : 0;
    double worst = difference(s->rows * H, x.y, y.y);
    worst = fmax(worst, difference(state, x.h_end, y.h_end));
    worst = fmax(worst, difference(cells, x.c_end, y.c_end));
    worst = fmax(worst, difference(d_count(s), x.d, y.d));
    worst = fmax(worst, difference(state, x.dh, y.dh));
    return fmax(worst, difference(cells, x.dc, y.dc));
}

static double differences(const sequence *s, result x, result y) {
    return fmax(own_difference(s, x, y), difference(s->sums, x.sums, y.sums));
}

static void refuse(const sequence *s, const char *set, const char *what, double off) {
    fprintf(stderr, "replay: %s: %s: %s (off by %g)\n", set, s->name, what, off);
    exit(1);
}

/* Plays one case on the set in use and returns how far it is off. */
static double play(const sequence *s, const char *set, bool fma) {
    const bool plain = is_plain(set), exactly = s->q.precision == TG_F32 && (plain || fma);
    const result alone = walk(s, 1);
    static const size_t threads[] = {2, 64};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        const result together = walk(s, threads[i]);
        double off = own_difference(s, together, alone);
        if (off != 0.0) refuse(s, set, "threads change the bits of a session", off);
        off = difference(s->sums, together.sums, alone.sums);
        if (off > 1e-4) refuse(s, set, "threads change sums", off);
        off = differences(s, walk(s, threads[i]), together);
        if (off != 0.0) refuse(s, set, "a repetition has other bits", off);
    }
    const double off = differences(s, alone, plain ? s->scalar : s->fused);
    if (off > (exactly ? 0.0 : s->q.precision == TG_F32 ? 1e-4 : 0.02)) refuse(s, set, "not what the file has", off);
    return off;
}

void replay_sequences(const char *set, bool fma) {
    size_t cases[2] = {0};
    double worst[2] = {0};
    most_threads = 1;
    for (uint64_t left = number(); left; left--) {
        const sequence s = next_sequence();
        worst[s.q.precision] = fmax(worst[s.q.precision], play(&s, set, fma));
        cases[s.q.precision]++;
        forget_all();
    }
    printf("replay: %-12s training: fp32 %zu cases, ", set, cases[TG_F32]);
    if (worst[TG_F32] == 0.0) printf("equal bits;");
    else printf("off by %.2g;", worst[TG_F32]);
    printf(" bf16 %zu cases, off by %.2g; up to %u threads\n", cases[TG_BF16], worst[TG_BF16], most_threads);
}
