#include "step.h"

#include <math.h>

#include "kernels.h"

size_t tg_gates(tg_cell cell) {
    switch (cell) {
    case TG_GRU:
    case TG_GRU_BEFORE: return 3;
    case TG_LSTM: return 4;
    default: return 1;
    }
}

size_t tg_layer_state_size(const tg_layer *layer) {
    return layer->hidden_size * (layer->cell == TG_LSTM ? 2 : 1);
}

static void *carve(uint8_t *memory, size_t *used, size_t bytes) {
    void *at = memory ? memory + *used : NULL;
    *used += (bytes + TG_ALIGNMENT - 1) / TG_ALIGNMENT * TG_ALIGNMENT;
    return at;
}

tg_scratch tg_carve(const tg_model *model, void *memory) {
    size_t inputs = 0, units = 0, width = 0, used = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        const tg_layer *layer = &model->layers[l];
        const size_t padded = tg_padded(layer->hidden_size);
        if (layer->input.inputs > inputs) inputs = layer->input.inputs;
        if (padded > units) units = padded;
        if (padded * layer->gates > width) width = padded * layer->gates;
    }
    tg_scratch scratch;
    scratch.x_operand = carve(memory, &used, TG_BLOCK * tg_operand_stride(inputs));
    scratch.h_operand = carve(memory, &used, TG_BLOCK * tg_operand_stride(units));
    scratch.x_scale = carve(memory, &used, TG_BLOCK * sizeof(float));
    scratch.h_scale = carve(memory, &used, TG_BLOCK * sizeof(float));
    scratch.dense = carve(memory, &used, TG_BLOCK * model->n_numbers * sizeof(float));
    scratch.old = carve(memory, &used, TG_BLOCK * units * sizeof(float));
    for (int i = 0; i < 2; i++) scratch.y[i] = carve(memory, &used, TG_BLOCK * units * sizeof(float));
    scratch.input = carve(memory, &used, TG_BLOCK * width * sizeof(float));
    scratch.recurrent = carve(memory, &used, TG_BLOCK * width * sizeof(float));
    scratch.gated = carve(memory, &used, TG_BLOCK * units * sizeof(float));
    scratch.candidate = carve(memory, &used, TG_BLOCK * units * sizeof(float));
    scratch.bytes = used;
    return scratch;
}

size_t tg_scratch_size(const tg_model *model) { return tg_carve(model, NULL).bytes; }

enum { SEEN_BITS = 12 };

/* The longest prefix of the events, TG_BLOCK at most, in which no state occurs twice. States are told apart
 * by a few bits of a hash: two that share them cost a shorter block, not a wrong one. */
static size_t distinct(size_t n, float *const *states, uint64_t *seen) {
    const size_t most = n < TG_BLOCK ? n : TG_BLOCK;
    size_t count = 0;
    if (most == 1) return 1;
    uint16_t marks[TG_BLOCK];
    while (count < most) {
        const uint64_t hash = (uint64_t)(uintptr_t)states[count] * 0x9e3779b97f4a7c15u;
        const uint16_t mark = (uint16_t)(hash >> (64 - SEEN_BITS));
        if (seen[mark / 64] >> mark % 64 & 1u) break;
        seen[mark / 64] |= (uint64_t)1 << mark % 64;
        marks[count++] = mark;
    }
    for (size_t i = 0; i < count; i++) seen[marks[i] / 64] = 0;
    return count;
}

void tg_step(const tg_model *model, size_t n, const float *rows, float *const *states, float *outputs,
             void *memory) {
    const tg_kernels *kernels = tg_active();
    const tg_scratch scratch = tg_carve(model, memory);
    uint64_t seen[(1u << SEEN_BITS) / 64] = {0};
    for (size_t i = 0, count; i < n; i += count) {
        count = distinct(n - i, states + i, seen);
        kernels->block(model, count, rows + i * model->row_size, states + i,
                       outputs + i * model->output_size, &scratch);
    }
}

void tg_run(const tg_model *model, size_t n, const float *rows, float *state, float *outputs,
            void *memory) {
    const tg_kernels *kernels = tg_active();
    const tg_scratch scratch = tg_carve(model, memory);
    for (size_t i = 0; i < n; i += TG_BLOCK)
        kernels->run(model, n - i < TG_BLOCK ? n - i : TG_BLOCK, rows + i * model->row_size, state,
                     outputs + i * model->output_size, &scratch);
}

bool tg_finite(size_t n, const float *x) { return tg_active()->finite(n, x); }

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
