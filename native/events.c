#include "events.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int tg_bench_new(tg_bench *bench, const tg_model *model, const tg_schema *schema, size_t capacity) {
    *bench = (tg_bench){.model = model, .schema = schema, .capacity = capacity};
    bench->rows = malloc((capacity * model->row_size + 1) * sizeof(float));
    bench->made = malloc((capacity * model->answer_size + 1) * sizeof(float));
    bench->saved = malloc((capacity * model->state_size + 1) * sizeof(float));
    bench->saved_encoder = malloc((capacity * schema->state_size + 1) * sizeof(double));
    bench->states = malloc((capacity + 1) * sizeof *bench->states);
    bench->good = malloc((capacity + 1) * sizeof *bench->good);
    if (bench->rows && bench->made && bench->saved && bench->saved_encoder && bench->states && bench->good)
        return 0;
    tg_bench_free(bench);
    return -1;
}

void tg_bench_free(tg_bench *bench) {
    free(bench->rows);
    free(bench->made);
    free(bench->saved);
    free(bench->saved_encoder);
    free(bench->states);
    free(bench->good);
    memset(bench, 0, sizeof *bench);
}

static void save(const tg_bench *bench, size_t k, const tg_event *event) {
    const size_t floats = bench->model->state_size, doubles = bench->schema->state_size;
    memcpy(bench->saved + k * floats, event->hidden, floats * sizeof(float));
    if (doubles) memcpy(bench->saved_encoder + k * doubles, event->encoder, doubles * sizeof(double));
    if (!event->begins) return;
    tg_begin(bench->model, event->hidden);
    for (size_t i = 0; i < doubles; i++) event->encoder[i] = NAN;
}

static void fail(const tg_bench *bench, size_t k, tg_event *event, int32_t fault, size_t field) {
    const size_t floats = bench->model->state_size, doubles = bench->schema->state_size;
    memcpy(event->hidden, bench->saved + k * floats, floats * sizeof(float));
    if (doubles) memcpy(event->encoder, bench->saved_encoder + k * doubles, doubles * sizeof(double));
    for (size_t o = 0; o < bench->model->answer_size; o++) event->output[o] = NAN;
    event->fault = fault;
    event->field = (int32_t)field;
}

size_t tg_step_events(const tg_bench *bench, size_t n, tg_event *events, tg_threads threads) {
    const tg_model *model = bench->model;
    const size_t width = model->row_size, n_outputs = model->answer_size;
    size_t stepped = 0;
    for (size_t k = 0; k < n; k++) {
        tg_event *event = &events[k];
        float *row = bench->rows + stepped * width;
        size_t field = 0;
        save(bench, k, event);
        event->fault = event->field = 0;
        const tg_fault fault = tg_encode(bench->schema, event->raw, event->time, event->encoder, row, &field);
        if (fault != TG_ENCODED) {
            fail(bench, k, event, (int32_t)fault, field);
        } else if (tg_check_categories(model, 1, row) >= 0) {
            fail(bench, k, event, TG_ROW_BAD, 0);
        } else {
            bench->states[stepped] = event->hidden;
            bench->good[stepped++] = (uint32_t)k;
        }
    }
    if (stepped) tg_step(model, stepped, bench->rows, bench->states, bench->made, threads);
    size_t failures = n - stepped;
    for (size_t g = 0; g < stepped; g++) {
        const size_t k = bench->good[g];
        const float *made = bench->made + g * n_outputs;
        if (tg_finite(n_outputs, made) && tg_finite(model->state_size, bench->states[g])) {
            memcpy(events[k].output, made, n_outputs * sizeof(float));
        } else {
            fail(bench, k, &events[k], TG_OUTPUT_NOT_FINITE, 0);
            failures++;
        }
    }
    return failures;
}
