#include "step.h"

#include <math.h>
#include <string.h>

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

void tg_begin(const tg_model *model, float *state) {
    const size_t bytes = model->state_size * sizeof(float);
    if (model->initial) memcpy(state, model->initial, bytes);
    else memset(state, 0, bytes);
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
    scratch.seen = carve(memory, &used, (1u << TG_SEEN_BITS) / 8);
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
    const bool whole = model->head_weight && !model->top;
    const size_t last = tg_padded(model->layers[model->n_layers - 1].hidden_size);
    scratch.scores = carve(memory, &used, whole ? 0 : TG_BLOCK * TG_SCORES * sizeof(float));
    scratch.best = carve(memory, &used, TG_BLOCK * model->top * sizeof(float));
    scratch.indices = carve(memory, &used, TG_BLOCK * model->top * sizeof(int64_t));
    scratch.before = carve(memory, &used, model->n_parts ? TG_BLOCK * last * sizeof(float) : 0);
    scratch.outputs = carve(memory, &used, model->n_parts ? TG_BLOCK * model->output_size * sizeof(float) : 0);
    scratch.bytes = used;
    return scratch;
}

size_t tg_scratch_size(const tg_model *model) { return tg_carve(model, NULL).bytes; }

/* Events of a call that are stepped together: on one thread a block, on several as many blocks as come
 * before a state occurs a second time. */
typedef struct {
    const tg_model *model;
    const tg_kernels *kernels;
    tg_threads threads;
    size_t scratch_size;
    size_t n;
    const float *rows;
    float *const *states;
    size_t k; /* of the call, not the model: the k largest outputs; 0: what the model answers with */
    float *answers;
    int64_t *indices;
} wave;

static void step_part(void *context, size_t job, size_t thread) {
    const wave *w = context;
    const tg_model *model = w->model;
    const size_t i = job * TG_BLOCK, count = w->n - i < TG_BLOCK ? w->n - i : TG_BLOCK;
    const tg_scratch scratch = tg_carve(model, (uint8_t *)w->threads.scratch + thread * w->scratch_size);
    const float *rows = w->rows + i * model->row_size;
    if (w->k)
        w->kernels->top(model, count, rows, w->states + i, w->k, w->answers + i * w->k, w->indices + i * w->k,
                        &scratch);
    else
        w->kernels->block(model, count, rows, w->states + i, w->answers + i * model->answer_size, &scratch);
}

enum { WAVE = 1024 };

/* The longest prefix of the events, `most` at most, in which no state occurs twice. States are told apart
 * by some bits of a hash: two that share them cost a shorter prefix, not a wrong one. */
static size_t distinct(size_t most, float *const *states, uint64_t *seen) {
    uint32_t marks[WAVE];
    size_t count = 0;
    while (count < most) {
        const uint64_t hash = (uint64_t)(uintptr_t)states[count] * 0x9e3779b97f4a7c15u;
        const uint32_t mark = (uint32_t)(hash >> (64 - TG_SEEN_BITS));
        if (seen[mark / 64] >> mark % 64 & 1u) break;
        seen[mark / 64] |= (uint64_t)1 << mark % 64;
        marks[count++] = mark;
    }
    for (size_t i = 0; i < count; i++) seen[marks[i] / 64] = 0;
    return count;
}

static void step_all(wave w, size_t n) {
    uint64_t *const seen = tg_carve(w.model, w.threads.scratch).seen;
    const size_t width = w.k ? w.k : w.model->answer_size, most = w.threads.pool ? WAVE : TG_BLOCK;
    w.kernels = tg_active();
    w.scratch_size = tg_scratch_size(w.model);
    for (; n; n -= w.n) {
        w.n = n == 1 ? 1 : distinct(n < most ? n : most, w.states, seen);
        if (w.threads.pool)
            tg_pool_run(w.threads.pool, (w.n + TG_BLOCK - 1) / TG_BLOCK, step_part, &w);
        else
            step_part(&w, 0, 0);
        w.rows += w.n * w.model->row_size;
        w.states += w.n;
        w.answers += w.n * width;
        if (w.k) w.indices += w.n * w.k;
    }
}

void tg_step(const tg_model *model, size_t n, const float *rows, float *const *states, float *answers,
             tg_threads threads) {
    step_all((wave){.model = model, .threads = threads, .rows = rows, .states = states, .answers = answers}, n);
}

void tg_step_top(const tg_model *model, size_t n, const float *rows, float *const *states, size_t k,
                 float *scores, int64_t *indices, tg_threads threads) {
    step_all((wave){.model = model,
                    .threads = threads,
                    .rows = rows,
                    .states = states,
                    .k = k,
                    .answers = scores,
                    .indices = indices},
             n);
}

void tg_run(const tg_model *model, size_t n, const float *rows, float *state, float *answers,
            void *memory) {
    const tg_kernels *kernels = tg_active();
    const tg_scratch scratch = tg_carve(model, memory);
    for (size_t i = 0; i < n; i += TG_BLOCK)
        kernels->run(model, n - i < TG_BLOCK ? n - i : TG_BLOCK, rows + i * model->row_size, state,
                     answers + i * model->answer_size, &scratch);
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
