/* One step of a stack of recurrent layers, for any number of sessions.
 *
 * Plain C11: no allocation, no globals but the choice of instruction set; every array belongs to the
 * caller. A session's numbers depend on that session alone: the order of every sum is fixed, so its
 * result is the same to the bit whatever else is in the call, wherever it stands in it, and however many
 * threads share the work.
 */
#ifndef TIDEGATE_STEP_H
#define TIDEGATE_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

enum {
    TG_UNITS = 16,  /* units that lie side by side: one AVX-512 register, one AMX tile row */
    TG_BLOCK = 64,  /* sessions that pass through a layer together */
    TG_ALIGNMENT = 64,
    TG_BEHIND = 4096, /* bytes behind the weights that the last tile may read */
};

typedef enum { TG_F32, TG_BF16, TG_INT8 } tg_precision;

typedef enum {
    TG_GRU,        /* reset gate after the recurrent product (torch, cuDNN) */
    TG_GRU_BEFORE, /* reset gate on the state before it (Cho et al. 2014) */
    TG_LSTM,
    TG_RNN_TANH,
    TG_RNN_RELU,
} tg_cell;

/* What becomes of the head's linear outputs. */
typedef enum { TG_LINEAR, TG_SIGMOID, TG_SOFTMAX } tg_head;

/* x W + b for the units of a layer.
 *
 * Outputs are grouped in panels of 16 units: [gate 0 of the 16 units][gate 1 of them] and so on. A panel's
 * weights lie one K-step after the other, for each step and gate 64 bytes: one input of 16 units (fp32),
 * two of them (bf16) or four (int8), which is what FMA, the dot products of AVX-512 and a tile of AMX each
 * take at once. Units and inputs that fill the last group up have weights 0. */
typedef struct {
    size_t inputs;
    size_t gates;
    size_t panels;
    size_t steps;         /* K-steps: inputs, or a half or a quarter of them, rounded up */
    const void *weights;  /* panels x steps x gates x 64 bytes, and TG_BEHIND of zeros */
    const float *bias;    /* panels x gates x 16 */
    const float *scale;   /* int8: what a weight's 1 stands for, panels x gates x 16; of bounded inputs,
                             what the product of two 1s does */
    const int32_t *start; /* int8: what sums of bytes begin with; see product_whole */
    bool bounded;         /* int8: inputs lie in -1 to 1; else each session has a scale of its own */
    int32_t largest;      /* int8: what the largest input of a session without bounds becomes */
} tg_product;

/* Each product of a layer with LayerNorm is normalised as one vector (Ba, Kiros, Hinton 2016). */
typedef struct {
    const float *gain_input, *gain_recurrent; /* panels x gates x 16; NULL: no LayerNorm */
    const float *gain_cell, *bias_cell;       /* LSTM: of c where it goes into h; panels x 16 */
    const float *shift_input, *shift_recurrent; /* the biases, which follow the normalisation */
    const float *gain_candidate, *shift_candidate; /* GRU_BEFORE: of the product of r * h */
} tg_norms;

typedef struct {
    tg_cell cell;
    size_t hidden_size;
    size_t panels;
    size_t gates;
    bool residual; /* what goes up is h + x; the state stays h */
    float zoneout, zoneout_cell; /* share of h, and of an LSTM's c, that stays as it was at each step */
    const float *peephole; /* LSTM: how i, f (the old c) and o (the new one) see c; panels x 3 x 16, or NULL */
    tg_product input;
    tg_product recurrent; /* GRU_BEFORE: r and z */
    tg_product candidate; /* GRU_BEFORE: n, of r * h */
    tg_norms norms;
} tg_layer;

/* A category column: its embedding table times the first layer's input weights, one row an index. */
typedef struct {
    size_t column;
    size_t size;
    const float *table; /* size x (panels x gates x 16) of the first layer */
} tg_category;

/* A column of the row that the head predicts before it sees the row: see tidegate.spec.SurprisePart. */
typedef struct {
    bool categorical;
    size_t column;
    size_t output, size; /* its outputs */
    ptrdiff_t missing;   /* a column; -1: there is none */
} tg_part;

typedef struct {
    tg_precision precision;
    bool fast_activations;
    size_t row_size; /* columns of an encoded row */
    size_t state_size;
    const float *initial; /* the state with which a session begins; NULL: zeros */
    size_t n_numbers;
    const size_t *numbers; /* the columns that are numbers: the first layer's dense inputs */
    bool numbers_first;    /* they are columns 0, 1, 2, ... */
    size_t n_categories;
    const tg_category *categories;
    size_t n_layers;
    const tg_layer *layers;
    size_t output_size;
    tg_head head;
    /* A few outputs: one row each, and its product with the state is one sum over sixteen sums. */
    size_t head_stride;       /* floats of a row: the last layer's units, padded to 16 */
    const float *head_weight; /* output_size x head_stride; NULL: many outputs, which are one gate of panels */
    const float *head_bias;   /* output_size */
    tg_product catalogue;     /* always fp32 */
    const float *skip;        /* what the row's numbers add to the outputs: n_numbers x output_size, or NULL */
    /* An event is answered with the outputs; or, of linear ones, with the `top` largest (falling, equal ones
     * in the order of their indices) and then their indices; or with the surprise of its row, in all and by
     * each part, in the eyes of a head that reads the last layer's h as it was before. */
    size_t answer_size;
    size_t top;    /* or 0 */
    size_t n_parts; /* or 0 */
    const tg_part *parts;
} tg_model;

enum { TG_FEW_OUTPUTS = 7 }; /* as many at most are rows */

size_t tg_gates(tg_cell cell);
size_t tg_layer_state_size(const tg_layer *layer);

/* Writes the state with which a session begins. */
void tg_begin(const tg_model *model, float *state);

/* Bytes of scratch memory, aligned to 64 and zero before its first use, that a call needs for each thread. */
size_t tg_scratch_size(const tg_model *model);

/* Where a call runs: the scratch memory of each thread, one after the other, and the threads; NULL: the
 * caller's alone. */
typedef struct {
    void *scratch;
    tg_pool *pool;
} tg_threads;

/* Steps `n` events in order. Event i takes rows[i * row_size ..], reads and writes the state at states[i]
 * (state_size floats) and writes answers[i * answer_size ..]. A state may occur several times. Category
 * indices are trusted here: check them with tg_check_categories. */
void tg_step(const tg_model *model, size_t n, const float *rows, float *const *states, float *answers,
             tg_threads threads);

/* The same for `n` events of one session: equal to the bit to single steps, and faster, since the input
 * products of many events are one. */
void tg_run(const tg_model *model, size_t n, const float *rows, float *state, float *answers,
            void *scratch);

/* As tg_step, for a model that answers with many outputs; instead of all of them, the `k` largest linear ones of each event,
 * falling, equal ones in the order of their indices; NaN, where any output is not finite. k <= output_size. */
void tg_step_top(const tg_model *model, size_t n, const float *rows, float *const *states, size_t k,
                 float *scores, int64_t *indices, tg_threads threads);

/* Whether none of n numbers is a NaN or an infinity. */
bool tg_finite(size_t n, const float *x);

/* The first event of `n` whose category index is not in its table, or -1. */
ptrdiff_t tg_check_categories(const tg_model *model, size_t n, const float *rows);

#endif
