/* Replays the cases that make_cases.py wrote: models as the kernels take them, events, and the states and
 * outputs that the machine which wrote them got. For processors that this machine only emulates (NEON), and
 * for kernels under sanitizers without an interpreter around them. Behind the models come sequences of
 * training (replay_train.c).
 *
 *     replay FILE [SET]...     all sets of the processor, unless some are named
 *
 * Each case runs as one call, event by event and in calls of seven; all three must agree to the bit. fp32
 * must be equal to the bit to a set with FMA (scalar: to scalar), int8 to any set; bf16, whose dot products
 * round in their own ways, only near.
 *
 * Every array is allocated by itself, exactly as long as step.h says, so that AddressSanitizer sees any
 * access beside it. The file is trusted: it was written a moment ago. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "kernels.h"

static tg_product product(tg_precision precision, size_t inputs, size_t gates, size_t panels) {
    tg_product made = {.inputs = inputs, .gates = gates, .panels = panels};
    const size_t together = precision == TG_F32 ? 1 : precision == TG_BF16 ? 2 : 4;
    made.steps = (made.inputs + together - 1) / together;
    made.weights = array(NULL, TG_BEHIND);
    made.bias = array(NULL, 0);
    if (precision == TG_INT8) {
        made.scale = array(NULL, 0);
        made.start = array(NULL, 0);
        made.bounded = number();
        made.largest = (int32_t)number();
    }
    return made;
}

static tg_layer layer(tg_precision precision, size_t inputs) {
    tg_layer made = {.cell = (tg_cell)number()};
    made.hidden_size = number();
    made.residual = number();
    made.gates = tg_gates(made.cell);
    made.panels = tg_padded(made.hidden_size) / TG_UNITS;
    const bool before = made.cell == TG_GRU_BEFORE;
    made.input = product(precision, inputs, made.gates, made.panels);
    made.recurrent = product(precision, made.hidden_size, before ? 2 : made.gates, made.panels);
    if (before) made.candidate = product(precision, made.hidden_size, 1, made.panels);
    made.norms.gain_input = optional();
    made.norms.shift_input = optional();
    made.norms.gain_recurrent = optional();
    made.norms.shift_recurrent = optional();
    made.norms.gain_candidate = optional();
    made.norms.shift_candidate = optional();
    made.norms.gain_cell = optional();
    made.norms.bias_cell = optional();
    const float *shares = array(NULL, 0);
    made.zoneout = shares[0];
    made.zoneout_cell = shares[1];
    made.peephole = optional();
    return made;
}

static tg_model model(void) {
    tg_model made = {.precision = (tg_precision)number()};
    made.fast_activations = number();
    made.row_size = number();
    size_t bytes;
    const uint64_t *columns = array(&bytes, 0);
    made.n_numbers = bytes / sizeof *columns;
    size_t *numbers = exact(made.n_numbers * sizeof *numbers);
    made.numbers_first = true;
    for (size_t i = 0; i < made.n_numbers; i++) {
        numbers[i] = columns[i];
        made.numbers_first = made.numbers_first && numbers[i] == i;
    }
    made.numbers = numbers;
    made.n_layers = number();
    tg_layer *layers = exact(made.n_layers * sizeof *layers);
    for (size_t l = 0; l < made.n_layers; l++) {
        layers[l] = layer(made.precision, l ? layers[l - 1].hidden_size : made.n_numbers);
        made.state_size += tg_layer_state_size(&layers[l]);
    }
    made.layers = layers;
    made.n_categories = number();
    tg_category *categories = exact(made.n_categories * sizeof *categories);
    for (size_t c = 0; c < made.n_categories; c++) {
        categories[c].column = number();
        categories[c].size = number();
        categories[c].table = array(NULL, 0);
    }
    made.categories = categories;
    const size_t units = layers[made.n_layers - 1].hidden_size;
    made.head = (tg_head)number();
    made.output_size = number();
    if (number()) {
        made.head_stride = tg_padded(units);
        made.head_weight = array(NULL, 0);
        made.head_bias = array(NULL, 0);
    } else {
        made.catalogue = product(TG_F32, units, 1, tg_padded(made.output_size) / TG_UNITS);
    }
    made.skip = optional();
    made.top = number();
    made.n_parts = number();
    tg_part *parts = exact(made.n_parts * sizeof *parts);
    for (size_t p = 0; p < made.n_parts; p++) {
        parts[p].categorical = number();
        parts[p].column = number();
        parts[p].output = number();
        parts[p].size = number();
        parts[p].missing = (ptrdiff_t)number() - 1;
    }
    made.parts = parts;
    made.answer_size = made.top ? 2 * made.top : made.n_parts ? 1 + made.n_parts : made.output_size;
    return made;
}

/* -- One case ----------------------------------------------------------------------------------------- */

typedef struct {
    const float *states, *outputs;
} result;

typedef struct {
    const char *name;
    tg_model model;
    bool run; /* all events are of one session, and go through tg_run */
    size_t n, sessions;
    const float *rows, *before;
    const int64_t *slots;
    result scalar, fused;
} replayed;

static replayed next_case(void) {
    replayed made = {.name = array(NULL, 1)};
    size_t bytes;
    made.model = model();
    made.run = number();
    made.slots = array(&bytes, 0);
    made.n = bytes / sizeof *made.slots;
    made.rows = array(NULL, 0);
    made.before = array(&bytes, 0);
    made.sessions = bytes / sizeof(float) / made.model.state_size;
    made.scalar.states = array(NULL, 0);
    made.scalar.outputs = array(NULL, 0);
    made.fused.states = array(NULL, 0);
    made.fused.outputs = array(NULL, 0);
    return made;
}

static float **states_before(const replayed *c) {
    const size_t state_bytes = c->model.state_size * sizeof(float);
    float **states = exact(c->sessions * sizeof *states);
    for (size_t s = 0; s < c->sessions; s++) {
        states[s] = exact(state_bytes);
        memcpy(states[s], c->before + s * c->model.state_size, state_bytes);
    }
    return states;
}

/* The case in calls of `at_once` events. */
static result walk(const replayed *c, size_t at_once) {
    const tg_model *m = &c->model;
    const size_t row_bytes = m->row_size * sizeof(float), out_bytes = m->answer_size * sizeof(float);
    const size_t state_bytes = m->state_size * sizeof(float);
    void *scratch = room(tg_scratch_size(m));
    memset(scratch, 0, tg_scratch_size(m));
    float **states = states_before(c);
    float *outputs = exact(c->n * out_bytes);
    if (tg_check_categories(m, c->n, c->rows) >= 0) fail("a category index is outside its table");
    for (size_t i = 0, n; i < c->n; i += n) {
        n = c->n - i < at_once ? c->n - i : at_once;
        float *rows = exact(n * row_bytes), *some = exact(n * out_bytes);
        float **at = exact(n * sizeof *at);
        memcpy(rows, c->rows + i * m->row_size, n * row_bytes);
        for (size_t k = 0; k < n; k++) at[k] = states[c->slots[i + k]];
        if (c->run)
            tg_run(m, n, rows, at[0], some, scratch);
        else
            tg_step(m, n, rows, at, some, (tg_threads){scratch, NULL});
        memcpy(outputs + i * m->answer_size, some, n * out_bytes);
    }
    float *together = exact(c->sessions * state_bytes);
    for (size_t s = 0; s < c->sessions; s++) memcpy(together + s * m->state_size, states[s], state_bytes);
    return (result){together, outputs};
}

static double differences(const replayed *c, result x, result y) {
    return fmax(difference(c->sessions * c->model.state_size, x.states, y.states),
                difference(c->n * c->model.answer_size, x.outputs, y.outputs));
}

/* The few largest outputs are those among all. */
static bool top_agrees(const replayed *c, const float *outputs) {
    const tg_model *m = &c->model;
    const size_t k = m->output_size < 5 ? m->output_size : 5;
    float **states = states_before(c), **at = exact(c->n * sizeof *at);
    float *scores = exact(c->n * k * sizeof *scores);
    int64_t *indices = exact(c->n * k * sizeof *indices);
    void *scratch = room(tg_scratch_size(m));
    memset(scratch, 0, tg_scratch_size(m));
    for (size_t i = 0; i < c->n; i++) at[i] = states[c->slots[i]];
    tg_step_top(m, c->n, c->rows, at, k, scores, indices, (tg_threads){scratch, NULL});
    for (size_t i = 0; i < c->n; i++) {
        const float *all = outputs + i * m->output_size;
        for (size_t j = 0; j < k; j++) {
            const float mine = scores[i * k + j];
            if (all[indices[i * k + j]] != mine || (j && mine > scores[i * k + j - 1])) return false;
        }
        size_t larger = 0;
        for (size_t o = 0; o < m->output_size; o++) larger += all[o] > scores[i * k + k - 1];
        if (larger >= k) return false;
    }
    return true;
}

/* Plays one case on the set in use and returns how far it is off. `fma`: the file's machine has it. */
static double play(const replayed *c, const char *set, bool fma) {
    const bool plain = is_plain(set);
    const result whole = walk(c, c->n);
    const size_t parts[] = {1, 7};
    for (size_t i = 0; i < 2; i++)
        if (differences(c, walk(c, parts[i]), whole) != 0.0) {
            fprintf(stderr, "replay: %s: %s: calls of %zu events give other bits\n", set, c->name, parts[i]);
            exit(1);
        }
    const bool plainly = c->model.head == TG_LINEAR && c->model.answer_size == c->model.output_size;
    if (c->model.catalogue.weights && plainly && !c->run && !top_agrees(c, whole.outputs)) {
        fprintf(stderr, "replay: %s: %s: the largest outputs are others\n", set, c->name);
        exit(1);
    }
    const double off = differences(c, whole, plain ? c->scalar : c->fused);
    const tg_precision p = c->model.precision;
    if (off > (p == TG_BF16 ? 0.05 : p == TG_INT8 || plain || fma ? 0.0 : 1e-5)) {
        fprintf(stderr, "replay: %s: %s: off by %g from the states and outputs in the file\n", set, c->name, off);
        exit(1);
    }
    return off;
}

static void replay(const char *path, const char *set) {
    static const char *const names[] = {"fp32", "bf16", "int8"};
    size_t cases[3] = {0};
    double worst[3] = {0};
    if (tg_use_isa(set) < 0) fail("no such instruction set here");
    open_cases(path);
    const bool fma = number();
    for (uint64_t left = number(); left; left--) {
        const replayed c = next_case();
        const tg_precision p = c.model.precision;
        worst[p] = fmax(worst[p], play(&c, set, fma));
        cases[p]++;
        forget_all();
    }
    printf("replay: %-12s", set);
    for (int p = 0; p < 3; p++) {
        printf(" %s %zu cases, ", names[p], cases[p]);
        if (worst[p] == 0.0) printf("equal bits;");
        else printf("off by %.2g;", worst[p]);
    }
    printf("\n");
    replay_sequences(set, fma);
    close_cases();
}

int main(int argc, char **argv) {
    if (argc < 2) fail("usage: replay FILE [SET]...");
    if (argc == 2)
        for (const char *const *set = tg_isas(); *set; set++) replay(argv[1], *set);
    for (int i = 2; i < argc; i++) replay(argv[1], argv[i]);
    return 0;
}
