/* What each instruction set offers, and the memory that a call works in. */
#ifndef TIDEGATE_KERNELS_H
#define TIDEGATE_KERNELS_H

#include "step.h"
#include "train.h"

/* Where a call keeps what it works on; carved out of the caller's scratch memory by tg_carve. */
typedef struct {
    uint64_t *seen;                 /* bits of states that occurred; zeros between calls */
    uint8_t *x_operand, *h_operand; /* TG_BLOCK sessions, as a product takes them */
    float *x_scale, *h_scale;       /* int8: of each session */
    float *dense;                   /* the numbers of encoded rows that are not side by side */
    float *old;                     /* h before the step, padded to whole panels */
    float *y[2];                    /* what the layer below gave, and what this one gives */
    float *input, *recurrent;       /* products of whole layers, where a cell needs them so */
    float *gated;                   /* r * h, or the new c */
    float *candidate;               /* the product of r * h, or the new c normalised */
    float *scores;                  /* some of many outputs */
    float *best;                    /* the largest of them */
    int64_t *indices;
    float *before;  /* the last layer's h before the step, padded to whole panels */
    float *outputs; /* what the head makes of it */
    size_t bytes;
} tg_scratch;

tg_scratch tg_carve(const tg_model *model, void *memory);

/* Bytes from one session's operand to the next. Never a multiple of 4 KiB: sessions that lie so would
 * throw each other out of the first-level cache. */
static inline size_t tg_operand_stride(size_t inputs) { return (inputs * 4 + 63) / 64 * 64 + 64; }

static inline size_t tg_padded(size_t units) { return (units + TG_UNITS - 1) / TG_UNITS * TG_UNITS; }

enum { TG_SEEN_BITS = 18 }; /* so many states' bits are told apart */
enum { TG_SCORES = 256 }; /* outputs of a large head that are looked at together */

typedef struct {
    const char *name;
    /* One event each of n <= TG_BLOCK different sessions. */
    void (*block)(const tg_model *model, size_t n, const float *rows, float *const *states, float *answers,
                  const tg_scratch *scratch);
    /* The same, giving each one's k largest outputs. */
    void (*top)(const tg_model *model, size_t n, const float *rows, float *const *states, size_t k,
                float *scores, int64_t *indices, const tg_scratch *scratch);
    /* n <= TG_BLOCK events of one session, in order. */
    void (*run)(const tg_model *model, size_t n, const float *rows, float *state, float *answers,
                const tg_scratch *scratch);
    bool (*finite)(size_t n, const float *x);
    /* All steps of a cohort of sessions, and the gradients of all of them. */
    void (*forward)(const tg_cohort *cohort);
    void (*backward)(const tg_cohort *cohort);
    void (*draw)(uint64_t seed, float rate, float value, size_t n, float *out);
    /* Logistic function and tanh of n numbers, for tests of their error. */
    void (*activate)(bool fast, size_t n, const float *x, float *sigmoid, float *tanh);
} tg_kernels;

/* The set in use: the widest that the processor has, or what tg_use_isa chose. */
const tg_kernels *tg_active(void);

/* Names of the sets of this build that the processor has, widest last, ended by NULL. */
const char *const *tg_isas(void);

/* 0, or -1 if the processor or the build lacks the set. Not while another thread is in a call. */
int tg_use_isa(const char *name);

#endif
