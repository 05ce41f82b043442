#include "step.h"

#include <math.h>
#include <string.h>

static inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

size_t tg_gates(tg_cell cell) {
    switch (cell) {
    case TG_GRU: return 3;
    case TG_LSTM: return 4;
    default: return 1;
    }
}

size_t tg_layer_state_size(const tg_layer *layer) {
    return layer->hidden_size * (layer->cell == TG_LSTM ? 2 : 1);
}

size_t tg_state_size(const tg_model *model) {
    size_t size = 0;
    for (size_t l = 0; l < model->n_layers; l++) size += tg_layer_state_size(&model->layers[l]);
    return size;
}

size_t tg_scratch_size(const tg_model *model) {
    size_t widest = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        const size_t rows = tg_gates(model->layers[l].cell) * model->layers[l].hidden_size;
        if (rows > widest) widest = rows;
    }
    return 2 * widest;
}

/* sum[j] += x * w[j] */
static void add_scaled(size_t n, float x, const float *restrict w, float *restrict sum) {
    for (size_t j = 0; j < n; j++) sum[j] += x * w[j];
}

static void add(size_t n, const float *restrict w, float *restrict sum) {
    for (size_t j = 0; j < n; j++) sum[j] += w[j];
}

/* b + x W, with W stored one input a row */
static void product(size_t n_in, size_t n_out, const float *x, const float *w, const float *b,
                    float *sum) {
    memcpy(sum, b, n_out * sizeof *sum);
    for (size_t k = 0; k < n_in; k++) add_scaled(n_out, x[k], w + k * n_out, sum);
}

/* r = s(Wr x + Ur h), z = s(Wz x + Uz h), n = tanh(Wn x + r * (Un h)), h' = (1 - z) * n + z * h
 * (biases inside both products; z is the share of the old state that is kept). */
static void gru(size_t H, const float *restrict a, const float *restrict u, float *restrict h) {
    for (size_t j = 0; j < H; j++) {
        const float r = sigmoid(a[j] + u[j]);
        const float z = sigmoid(a[H + j] + u[H + j]);
        const float n = tanhf(a[2 * H + j] + r * u[2 * H + j]);
        h[j] = (1.0f - z) * n + z * h[j];
    }
}

/* c' = f * c + i * g, h' = o * tanh(c') */
static void lstm(size_t H, const float *restrict a, const float *restrict u, float *restrict h,
                 float *restrict c) {
    for (size_t j = 0; j < H; j++) {
        const float i = sigmoid(a[j] + u[j]);
        const float f = sigmoid(a[H + j] + u[H + j]);
        const float g = tanhf(a[2 * H + j] + u[2 * H + j]);
        const float o = sigmoid(a[3 * H + j] + u[3 * H + j]);
        c[j] = f * c[j] + i * g;
        h[j] = o * tanhf(c[j]);
    }
}

static void rnn_tanh(size_t H, const float *restrict a, const float *restrict u, float *restrict h) {
    for (size_t j = 0; j < H; j++) h[j] = tanhf(a[j] + u[j]);
}

static void rnn_relu(size_t H, const float *restrict a, const float *restrict u, float *restrict h) {
    for (size_t j = 0; j < H; j++) {
        const float s = a[j] + u[j];
        h[j] = s < 0.0f ? 0.0f : s; /* a NaN stays one */
    }
}

/* The first layer's input product: dense numbers, then one table row a category. */
static void input_product(const tg_model *model, const float *row, float *a) {
    const tg_layer *layer = &model->layers[0];
    const size_t rows = tg_gates(layer->cell) * layer->hidden_size;
    memcpy(a, layer->b_input, rows * sizeof *a);
    for (size_t k = 0; k < model->n_numbers; k++)
        add_scaled(rows, row[model->numbers[k]], layer->input + k * rows, a);
    for (size_t c = 0; c < model->n_categories; c++) {
        const tg_category *category = &model->categories[c];
        add(rows, category->table + (size_t)row[category->column] * rows, a);
    }
}

static void step_one(const tg_model *model, const float *row, float *state, float *output,
                     float *scratch) {
    const float *x = NULL;
    for (size_t l = 0; l < model->n_layers; l++) {
        const tg_layer *layer = &model->layers[l];
        const size_t H = layer->hidden_size, rows = tg_gates(layer->cell) * H;
        float *a = scratch, *u = scratch + rows;
        if (l == 0)
            input_product(model, row, a);
        else
            product(layer->input_size, rows, x, layer->input, layer->b_input, a);
        product(H, rows, state, layer->recurrent, layer->b_recurrent, u);
        switch (layer->cell) {
        case TG_GRU: gru(H, a, u, state); break;
        case TG_LSTM: lstm(H, a, u, state, state + H); break;
        case TG_RNN_TANH: rnn_tanh(H, a, u, state); break;
        case TG_RNN_RELU: rnn_relu(H, a, u, state); break;
        }
        x = state;
        state += tg_layer_state_size(layer);
    }
    product(model->layers[model->n_layers - 1].hidden_size, model->output_size, x,
            model->head_weight, model->head_bias, output);
}

void tg_step(const tg_model *model, size_t n, const float *rows, const int64_t *slots, float *states,
             float *outputs, float *scratch) {
    const size_t state_size = tg_state_size(model);
    for (size_t i = 0; i < n; i++)
        step_one(model, rows + i * model->row_size, states + (size_t)slots[i] * state_size,
                 outputs + i * model->output_size, scratch);
}

ptrdiff_t tg_check_categories(const tg_model *model, size_t n, const float *rows) {
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < model->n_categories; c++) {
            const float index = rows[i * model->row_size + model->categories[c].column];
            /* written so that a NaN fails too */
            if (!(index >= 0.0f && index < (float)model->categories[c].size && index == floorf(index)))
                return (ptrdiff_t)i;
        }
    return -1;
}
