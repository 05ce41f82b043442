#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "train.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

tg_layout tg_layout_of(tg_cell cell, bool norm) {
    switch (cell) {
    case TG_GRU:
        return norm ? (tg_layout){3, 6, 7, 4, 3, 0, 6} : (tg_layout){3, 4, 5, 4, 1, 0, 4};
    case TG_GRU_BEFORE:
        return norm ? (tg_layout){3, 6, 8, 3, 3, 5, 6} : (tg_layout){3, 3, 5, 3, 1, 0, 3};
    case TG_LSTM:
        return norm ? (tg_layout){4, 9, 9, 4, 4, 0, 8} : (tg_layout){4, 5, 5, 4, 0, 0, 4};
    default:
        return norm ? (tg_layout){1, 2, 3, 1, 1, 0, 2} : (tg_layout){1, 1, 2, 1, 0, 0, 1};
    }
}

size_t tg_sums(const tg_sequence *q) {
    const size_t gates = tg_gates(q->cell), norm = q->gain ? 2 * gates + (q->cell_gain ? 2 : 0) : 0;
    return (tg_layout_of(q->cell, q->gain).bias + norm + (q->peephole ? 3 : 0)) * q->hidden_size;
}

/* -- Weights ----------------------------------------------------------------------------------------- */

static uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u); /* NaN stays one */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Weights of so many gates of H units each, in panels (see step.h). Unit i of gate g takes input k times
 * from[(g * H + i) * row + k * column]. */
typedef struct {
    tg_precision precision;
    size_t hidden_size, gates, inputs;
    const float *from;
    size_t row, column;
} matrix;

static size_t steps_of(const matrix *m) { return m->precision == TG_BF16 ? (m->inputs + 1) / 2 : m->inputs; }

static size_t matrix_bytes(const matrix *m) {
    return tg_padded(m->hidden_size) / TG_UNITS * steps_of(m) * m->gates * 64 + TG_BEHIND;
}

static float entry(const matrix *m, size_t gate, size_t unit, size_t input) {
    if (unit >= m->hidden_size || input >= m->inputs) return 0.0f;
    return m->from[(gate * m->hidden_size + unit) * m->row + input * m->column];
}

static void pack_panel(const matrix *m, size_t panel, uint8_t *to) {
    const size_t steps = steps_of(m), first = panel * TG_UNITS;
    const bool whole = first + TG_UNITS <= m->hidden_size;
    for (size_t k = 0; k < steps; k++)
        for (size_t g = 0; g < m->gates; g++, to += 64) {
            if (m->precision == TG_BF16) {
                uint16_t *pairs = (uint16_t *)(void *)to;
                for (size_t i = 0; i < TG_UNITS; i++) {
                    pairs[2 * i] = to_bf16(entry(m, g, first + i, 2 * k));
                    pairs[2 * i + 1] = to_bf16(entry(m, g, first + i, 2 * k + 1));
                }
                continue;
            }
            float *units = (float *)(void *)to;
            if (whole) {
                const float *at = m->from + (g * m->hidden_size + first) * m->row + k * m->column;
                for (size_t i = 0; i < TG_UNITS; i++) units[i] = at[i * m->row];
            } else {
                for (size_t i = 0; i < TG_UNITS; i++) units[i] = entry(m, g, first + i, k);
            }
        }
}

/* Packs the weights into memory of matrix_bytes, whose last TG_BEHIND bytes are zeros already. */
static tg_product pack(const matrix *m, uint8_t *memory, const float *no_bias) {
    const size_t panels = tg_padded(m->hidden_size) / TG_UNITS, bytes = steps_of(m) * m->gates * 64;
    for (size_t p = 0; p < panels; p++) pack_panel(m, p, memory + p * bytes);
    return (tg_product){
        .inputs = m->inputs,
        .gates = m->gates,
        .panels = panels,
        .steps = steps_of(m),
        .weights = memory,
        .bias = no_bias,
    };
}

/* -- Threads ----------------------------------------------------------------------------------------- */

/* torch's own threads, if it has brought GNU's OpenMP into the process: threads of ours would wait for
 * theirs, which keep their processors for a while after each of torch's products. */
typedef void parallel(void (*work)(void *), void *context, unsigned threads, unsigned flags);

static parallel *others_threads(void) {
    static _Atomic(parallel *) found;
    parallel *have = atomic_load(&found);
    if (!have) {
        void *symbol = dlsym(RTLD_DEFAULT, "GOMP_parallel");
        memcpy(&have, &symbol, sizeof have); /* ISO C converts no object pointer to a function's */
        if (have) atomic_store(&found, have);
    }
    return have;
}

bool tg_finds_threads(void) { return others_threads() != NULL; }

/* -- Groups of sessions ------------------------------------------------------------------------------ */

enum { MOST = 32 }; /* sessions of a group: their vectors stay in the second-level cache */

typedef struct {
    const tg_sequence *q;
    bool backward;
    size_t groups;
    _Atomic size_t next, threads;
    const int64_t *order; /* groups one after the other */
    tg_cohort shared;   /* what is the same for all groups */
    uint8_t *scratch;
    size_t scratch_bytes;
    float *sums;
} plan;

static void *carve(uint8_t *memory, size_t *used, size_t bytes) {
    void *at = memory ? memory + *used : NULL;
    *used += (bytes + TG_ALIGNMENT - 1) / TG_ALIGNMENT * TG_ALIGNMENT;
    return at;
}

static size_t carve_cohort(tg_cohort *g, bool backward, uint8_t *memory) {
    const tg_sequence *q = g->q;
    const size_t units = tg_padded(q->hidden_size), gates = tg_gates(q->cell);
    const bool rounded = q->precision != TG_F32;
    const size_t vectors = MOST * units * sizeof(float);
    size_t used = 0;
    g->h = carve(memory, &used, vectors);
    g->c = carve(memory, &used, vectors);
    g->v = carve(memory, &used, vectors);
    g->w = carve(memory, &used, vectors);
    g->u = carve(memory, &used, vectors * gates);
    g->u2 = carve(memory, &used, vectors);
    g->operand = carve(memory, &used, MOST * tg_operand_stride(gates * units));
    g->scale = carve(memory, &used, MOST * sizeof(float));
    g->a = carve(memory, &used, rounded ? gates * units * sizeof(float) : 0);
    g->d = carve(memory, &used, rounded && backward ? MOST * g->layout.d * units * sizeof(float) : 0);
    if (backward && !q->gain_input) g->a = NULL; /* there `a` is not read */
    return used;
}

static size_t cohorts_of(size_t sessions, size_t threads) {
    size_t groups = (sessions + MOST - 1) / MOST;
    groups = (groups + threads - 1) / threads * threads;
    return groups < sessions ? groups : sessions;
}

/* Session j of the falling order of lengths goes to group j modulo groups: they end at about the same time. */
static void deal(const tg_sequence *q, size_t groups, int64_t *sorted, int64_t *order, size_t *count) {
    int64_t longest = 0;
    for (size_t b = 0; b < q->sessions; b++)
        if (q->lengths[b] > longest) longest = q->lengths[b];
    /* Sorted by counting; `count` has room for one number a length. */
    memset(count, 0, ((size_t)longest + 1) * sizeof *count);
    for (size_t b = 0; b < q->sessions; b++) count[longest - q->lengths[b]]++;
    size_t before = 0;
    for (int64_t l = 0; l <= longest; l++) {
        const size_t here = count[l];
        count[l] = before;
        before += here;
    }
    for (size_t b = 0; b < q->sessions; b++) sorted[count[longest - q->lengths[b]]++] = (int64_t)b;
    size_t at = 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t j = g; j < q->sessions; j += groups) order[at++] = sorted[j];
}

/* Gradients that vanish go through numbers below 2^-126, with which processors take a hundred times as long.
 * In training they are 0. */
#if defined(__x86_64__)
static unsigned flush_tiny(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u); /* results and operands */
    return before;
}
static void restore(unsigned before) { _mm_setcsr(before); }
#else
static unsigned flush_tiny(void) { return 0; }
static void restore(unsigned before) { (void)before; }
#endif

static void take_cohorts(void *context) {
    plan *p = context;
    const unsigned before = flush_tiny();
    const size_t thread = atomic_fetch_add(&p->threads, 1), n = p->q->sessions;
    tg_cohort g = p->shared;
    carve_cohort(&g, p->backward, p->scratch + thread * p->scratch_bytes);
    const size_t sums = tg_sums(p->q);
    for (size_t at; (at = atomic_fetch_add(&p->next, 1)) < p->groups;) {
        size_t first = 0;
        for (size_t i = 0; i < at; i++) first += (n - i + p->groups - 1) / p->groups;
        g.n = (n - at + p->groups - 1) / p->groups;
        g.sessions = p->order + first;
        g.sums = p->sums + at * sums;
        if (p->backward) tg_active()->backward(&g);
        else tg_active()->forward(&g);
    }
    restore(before);
}

/* Packs what the direction multiplies with. Backward, a gate's units are inputs: rows of the weights. */
static size_t pack_all(const tg_sequence *q, bool backward, tg_cohort *g, uint8_t *memory, const float *none) {
    const size_t H = q->hidden_size, gates = tg_gates(q->cell);
    const size_t first = q->cell == TG_GRU_BEFORE ? 2 : gates;
    matrix parts[2];
    for (int i = 0; i < 2; i++) {
        const size_t part = i ? gates - first : first;
        const float *from = q->weight + (i ? first * H * H : 0);
        parts[i] = backward ? (matrix){q->precision, H, 1, part * H, from, 1, H}
                            : (matrix){q->precision, H, part, H, from, H, 1};
    }
    size_t used = 0;
    uint8_t *at = carve(memory, &used, matrix_bytes(&parts[0]));
    if (memory) g->recurrent = pack(&parts[0], at, none);
    if (first < gates) {
        at = carve(memory, &used, matrix_bytes(&parts[1]));
        if (memory) g->candidate = pack(&parts[1], at, none);
    }
    return used;
}

static int run(const tg_sequence *q, size_t threads, bool backward) {
    if (q->sessions == 0) {
        if (backward) memset(q->sums, 0, tg_sums(q) * sizeof(float));
        return 0;
    }
    if (!tg_active()) tg_isas();
    parallel *const fork = threads > 1 ? others_threads() : NULL;
    if (!fork) threads = 1;
    plan p = {.q = q, .backward = backward, .groups = cohorts_of(q->sessions, threads)};
    if (p.groups < threads) threads = p.groups;
    p.shared.q = q;
    p.shared.layout = tg_layout_of(q->cell, q->gain);
    int64_t longest = 0;
    for (size_t b = 0; b < q->sessions; b++)
        if (q->lengths[b] > longest) longest = q->lengths[b];
    const size_t sums = tg_sums(q), columns = 4 * tg_padded(q->hidden_size);
    p.scratch_bytes = carve_cohort(&p.shared, backward, NULL);
    size_t weights = pack_all(q, backward, &p.shared, NULL, NULL), used = 0, at[6];
    const size_t bytes[6] = {
        p.scratch_bytes * threads,
        weights,
        columns * sizeof(float),
        backward ? p.groups * sums * sizeof(float) : 0,
        2 * q->sessions * sizeof(int64_t),
        ((size_t)longest + 1) * sizeof(size_t),
    };
    for (int i = 0; i < 6; i++) at[i] = used, used += (bytes[i] + TG_ALIGNMENT - 1) / TG_ALIGNMENT * TG_ALIGNMENT;
    uint8_t *memory = aligned_alloc(TG_ALIGNMENT, used);
    if (!memory) return -1;
    memset(memory + at[1], 0, at[4] - at[1]);
    p.scratch = memory;
    const float *none = (const float *)(const void *)(memory + at[2]);
    pack_all(q, backward, &p.shared, memory + at[1], none);
    p.sums = (float *)(void *)(memory + at[3]);
    int64_t *order = (int64_t *)(void *)(memory + at[4]);
    deal(q, p.groups, order + q->sessions, order, (size_t *)(void *)(memory + at[5]));
    p.order = order;
    if (threads > 1) fork(take_cohorts, &p, (unsigned)threads, 0);
    else take_cohorts(&p);
    if (backward) {
        memset(q->sums, 0, sums * sizeof(float));
        for (size_t g = 0; g < p.groups; g++) /* in their order, whoever was first */
            for (size_t i = 0; i < sums; i++) q->sums[i] += p.sums[g * sums + i];
    }
    free(memory);
    return 0;
}

int tg_forward(const tg_sequence *q, size_t threads) { return run(q, threads, false); }
int tg_backward(const tg_sequence *q, size_t threads) { return run(q, threads, true); }

void tg_draw(uint64_t seed, float rate, float value, size_t n, float *out) {
    if (!tg_active()) tg_isas();
    tg_active()->draw(seed, rate, value, n, out);
}
