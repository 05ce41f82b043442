/* One step of a stack of recurrent layers, for any number of sessions.
 *
 * Plain C11: no allocation, no globals; every array belongs to the caller. A session's numbers depend
 * on that session alone: the order of every sum is fixed, so its result is the same to the bit whatever
 * else is in the call.
 *
 * Weights arrive "unit-minor": row k holds what input (or state) number k adds to each of the gates'
 * units. Walking k outside and units inside lets a compiler vectorise without reordering a sum.
 */
#ifndef TIDEGATE_STEP_H
#define TIDEGATE_STEP_H

#include <stddef.h>
#include <stdint.h>

typedef enum { TG_GRU, TG_LSTM, TG_RNN_TANH, TG_RNN_RELU } tg_cell;

/* rows = hidden_size x gates; gates are r, z, n (GRU), i, f, g, o (LSTM) or one (RNN). */
typedef struct {
    tg_cell cell;
    size_t input_size;
    size_t hidden_size;
    const float *input;       /* input_size x rows */
    const float *recurrent;   /* hidden_size x rows */
    const float *b_input;     /* rows */
    const float *b_recurrent; /* rows */
} tg_layer;

/* A category column: its embedding table times the first layer's input weights, one row an index. */
typedef struct {
    size_t column;
    size_t size;
    const float *table; /* size x rows of the first layer */
} tg_category;

typedef struct {
    size_t row_size; /* columns of an encoded row */
    size_t n_numbers;
    const size_t *numbers; /* the columns that are numbers: the first layer's dense inputs */
    size_t n_categories;
    const tg_category *categories;
    size_t n_layers;
    const tg_layer *layers;
    size_t output_size;
    const float *head_weight; /* hidden_size of the last layer x output_size */
    const float *head_bias;   /* output_size */
} tg_model;

size_t tg_gates(tg_cell cell);
size_t tg_layer_state_size(const tg_layer *layer);
size_t tg_state_size(const tg_model *model);

/* Floats of scratch memory that one call of tg_step needs. */
size_t tg_scratch_size(const tg_model *model);

/* Steps `n` events in order. Event i takes rows[i * row_size ..], reads and writes the state at
 * states[slots[i] * state_size ..] and writes outputs[i * output_size ..]. A slot may occur several
 * times. Slots and category indices are trusted here: check the latter with tg_check_categories. */
void tg_step(const tg_model *model, size_t n, const float *rows, const int64_t *slots, float *states,
             float *outputs, float *scratch);

/* The first event of `n` whose category index is not in its table, or -1. */
ptrdiff_t tg_check_categories(const tg_model *model, size_t n, const float *rows);

#endif
