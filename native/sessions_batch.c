/* A batch of events: each is judged by the sequence rules, refused, answered again or stepped. Events of one
 * session are taken in turns, so that those of a turn can go through the model together. */
#include <math.h>

#include "grow.h"
#include "sessions_internal.h"
#include "xxh64.h"

#define AHEAD 24       /* events whose slots are fetched before their turn */
#define SHARE 256      /* events that are done together, while their sessions are in the cache */
#define AHEAD_BLOBS 12 /* and, once those are there, their answers */

/* ---- The failures of a batch: (request, session) ---- */

static tg_failure *failure_at(const tg_table *table, int64_t request, int64_t slot) {
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t hash = ((uint64_t)request * factor ^ (uint64_t)slot) * factor;
    const size_t mask = table->failures_capacity - 1;
    for (size_t at = (size_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
        tg_failure *found = &table->failures[at];
        if (!found->session || (found->session == (uint32_t)(slot + 1) && found->request == request))
            return found;
    }
}

static int has_failed(const tg_table *table, int64_t request, int64_t slot) {
    return table->n_failures && failure_at(table, request, slot)->session;
}

/* There is room: `prepare` made it. */
static void add_failure(tg_table *table, int64_t request, int64_t slot) {
    tg_failure *found = failure_at(table, request, slot);
    if (found->session) return;
    *found = (tg_failure){request, (uint32_t)(slot + 1)};
    table->n_failures++;
}

static int clear_failures(tg_table *table, size_t most) {
    size_t wanted = 16;
    while (wanted < 2 * most) wanted *= 2;
    if (wanted > table->failures_capacity) {
        tg_failure *grown = calloc(wanted, sizeof *grown);
        if (!grown) return -1;
        free(table->failures);
        table->failures = grown;
        table->failures_capacity = wanted;
    } else if (table->n_failures) {
        memset(table->failures, 0, table->failures_capacity * sizeof *table->failures);
    }
    table->n_failures = 0;
    return 0;
}

/* ---- A batch ---- */

static int64_t request_of(const tg_batch *batch, size_t event) {
    return batch->requests ? batch->requests[event] : 0;
}

static uint8_t flags_of(const tg_batch *batch, size_t event) {
    return batch->flags ? batch->flags[event] : 0;
}

static void refuse(tg_table *table, tg_batch *batch, size_t event, tg_outcome outcome, int64_t expected) {
    const size_t n_outputs = table->bench.model->answer_size;
    batch->codes[event] = (uint8_t)outcome;
    batch->expected[event] = expected;
    for (size_t o = 0; o < n_outputs; o++) batch->outputs[event * n_outputs + o] = NAN;
    add_failure(table, request_of(batch, event), table->slots[event]);
}

static uint64_t payload_hash(const tg_table *table, const tg_batch *batch, size_t event) {
    const tg_schema *schema = table->bench.schema;
    const double *raw = batch->raw + event * schema->n_fields;
    const uint64_t *texts = batch->texts + event * schema->n_fields;
    for (size_t i = 0; i < schema->n_fields; i++)
        table->words[table->positions[i]] =
            schema->fields[i].category ? texts[i] : tg_number_word(raw[i]);
    return tg_payload_hash(schema->n_fields, table->words, batch->times ? batch->times[event] : NAN);
}

static int repeat(tg_table *table, tg_batch *batch, size_t event, const tg_session *its, tg_verdict verdict) {
    const tg_kept_answer kept = tg_kept_at(&its->kept, verdict.answer);
    batch->codes[event] = TG_REPEAT;
    batch->numbers[event] = verdict.seq;
    batch->effective[event] = kept.time;
    batch->marks[event] = (uint8_t)(TG_MARK_DUPLICATE | (kept.reset ? TG_MARK_RESET : 0));
    memcpy(batch->outputs + event * table->bench.model->answer_size, kept.answer.data,
           table->limits.answer_size);
    if (!kept.version.size || tg_same(kept.version, table->versions[0])) return 0;
    const size_t end = table->text_size + kept.version.size;
    if (tg_grow(&table->version_text, &table->text_capacity, end, 1) ||
        tg_grow(&table->version_events, &table->repeats_capacity, table->n_repeats + 1, sizeof(size_t)) ||
        tg_grow(&table->version_ends, &table->ends_capacity, table->n_repeats + 1, sizeof(size_t)))
        return -1;
    memcpy(table->version_text + table->text_size, kept.version.data, kept.version.size);
    table->version_events[table->n_repeats] = event;
    table->version_ends[table->n_repeats++] = table->text_size = end;
    return 0;
}

/* Decides what an event is to its session: answers or refuses it, or puts it among the steps. */
static int judge(tg_table *table, tg_batch *batch, size_t event) {
    const int64_t slot = table->slots[event], seq = batch->seqs ? batch->seqs[event] : 0;
    const double time = batch->times ? batch->times[event] : NAN;
    const uint8_t flags = flags_of(batch, event);
    const int failed = has_failed(table, request_of(batch, event), slot);
    tg_session *its = tg_session_of(table, slot);
    batch->numbers[event] = seq;
    batch->expected[event] = -1;
    batch->effective[event] = isnan(time) ? batch->received : time;
    batch->marks[event] = 0;
    batch->faults[2 * event] = batch->faults[2 * event + 1] = 0;
    if (flags & TG_EVENT_REFUSED && !failed) {
        refuse(table, batch, event, TG_REFUSED, -1);
        return 0;
    }
    tg_known known = {tg_status_at(table, its, batch->received), its->seq, 0, NULL};
    uint8_t marks = 0;
    if (known.status == TG_DAMAGED) {
        if (!(flags & TG_EVENT_START)) {
            refuse(table, batch, event, TG_RECORD_IS_DAMAGED, -1);
            return 0;
        }
        known.status = TG_UNKNOWN;
        marks = TG_MARK_START_ON_DAMAGED;
    }
    known.n_answers = tg_kept_count(&its->kept);
    known.answers = tg_kept_rows(&its->kept);
    if (failed) {
        const tg_verdict verdict = tg_judge_after_failure(&known, seq);
        batch->marks[event] = TG_MARK_AFTER_FAILURE;
        refuse(table, batch, event, verdict.outcome, verdict.expected);
        return 0;
    }
    const uint64_t hash = payload_hash(table, batch, event);
    const tg_verdict verdict = tg_judge(&known, seq, hash, flags & TG_EVENT_START);
    if (verdict.outcome == TG_REPEAT) return repeat(table, batch, event, its, verdict);
    if (!tg_is_step(verdict.outcome)) {
        refuse(table, batch, event, verdict.outcome, verdict.expected);
        return 0;
    }
    if (verdict.outcome == TG_BEGIN_ANEW)
        marks |= known.status == TG_LIVE ? TG_MARK_START_ON_LIVE : TG_MARK_START_ON_TOMBSTONE;
    if (verdict.outcome == TG_STEP) {
        if (its->foreign) marks |= TG_MARK_RESET;
        if (batch->effective[event] < its->time) marks |= TG_MARK_TIME_BACKWARDS;
    }
    /* Room for the answer now: later there is no way back. */
    const bool begins = verdict.outcome != TG_STEP || its->foreign;
    table->kept_bytes -= tg_kept_bytes(&its->kept);
    const int no_room = tg_kept_reserve(&its->kept, &table->limits, its->home, begins);
    table->kept_bytes += tg_kept_bytes(&its->kept);
    if (no_room) return -1;
    const size_t k = table->n_steps++;
    table->steps[k] = (tg_pending){event, slot, verdict.seq, hash, marks, verdict.outcome};
    table->events[k] = (tg_event){.raw = batch->raw + event * table->bench.schema->n_fields,
                                  .time = batch->effective[event],
                                  .encoder = tg_arena_encoder(table->arena, slot),
                                  .hidden = tg_arena_hidden(table->arena, slot),
                                  .begins = begins,
                                  .output = table->outputs + k * table->bench.model->answer_size};
    return 0;
}

/* Takes an event that was stepped into its session. */
static void keep(tg_table *table, tg_batch *batch, const tg_pending *done) {
    tg_session *its = tg_session_of(table, done->slot);
    const size_t event = done->event;
    const int continues = done->outcome == TG_STEP, ends = flags_of(batch, event) & TG_EVENT_END;
    if (!continues) its->created = batch->received;
    if (!continues || its->foreign) {
        tg_drop_rest(table, its);
        tg_kept_clear(&its->kept);
    }
    its->foreign = 0;
    its->version = 0;
    tg_set_status(table, its, ends ? TG_ENDED : TG_LIVE);
    its->seq = done->seq;
    its->time = batch->effective[event];
    its->updated = batch->received;
    tg_kept_add(&its->kept, &table->limits, done->seq, done->hash, its->time, batch->outputs +
                event * table->bench.model->answer_size, done->marks & TG_MARK_RESET);
    batch->codes[event] = (uint8_t)done->outcome;
    batch->numbers[event] = done->seq;
    batch->marks[event] = (uint8_t)(done->marks | (ends ? TG_MARK_ENDED : 0));
    if (its->changed) return;
    its->changed = 1;
    tg_note_change(table, done->slot, batch->ticket);
    table->changed[table->n_changed++] = done->slot;
}

static int keep_met(tg_table *table, const tg_event *event, size_t index) {
    const size_t size = table->bench.schema->state_size;
    if (tg_grow(&table->met_events, &table->met_capacity, table->n_met + 1, sizeof(size_t)) ||
        tg_grow(&table->met_states, &table->met_states_capacity, (table->n_met + 1) * size + 1, sizeof(double)))
        return -1;
    double *state = table->met_states + table->n_met * size;
    for (size_t i = 0; i < size; i++) state[i] = event->begins ? NAN : event->encoder[i];
    table->met_events[table->n_met++] = index;
    return 0;
}

/* Steps the events that were judged to be. */
static int flush(tg_table *table, tg_batch *batch) {
    const size_t n = table->n_steps, n_outputs = table->bench.model->answer_size;
    int result = 0;
    table->n_steps = 0;
    tg_step_events(&table->bench, n, table->events, batch->threads);
    for (size_t k = 0; k < n; k++) {
        const tg_event *event = &table->events[k];
        const tg_pending *done = &table->steps[k];
        if (!event->fault) {
            memcpy(batch->outputs + done->event * n_outputs, event->output, n_outputs * sizeof(float));
            keep(table, batch, done);
            continue;
        }
        const int by_schema = event->fault < TG_ROW_BAD;
        refuse(table, batch, done->event, by_schema ? TG_SCHEMA_FAULT : TG_NOT_FINITE_OUTPUT, -1);
        if (!by_schema) continue;
        batch->faults[2 * done->event] = event->fault;
        batch->faults[2 * done->event + 1] = event->field;
        if (keep_met(table, event, done->event)) result = -1;
    }
    return result;
}

/* Memory for a batch, its sessions' slots, and what had failed before. */
static int prepare(tg_table *table, const tg_batch *batch) {
    const size_t n = batch->n;
    size_t capacities[] = {table->events_capacity, table->events_capacity, table->events_capacity,
                           table->events_capacity, table->events_capacity};
    if (tg_grow(&table->slots, &capacities[0], n, sizeof *table->slots) ||
        tg_grow(&table->fresh, &capacities[1], n, sizeof *table->fresh) ||
        tg_grow(&table->order, &capacities[2], n, sizeof *table->order) ||
        tg_grow(&table->rounds, &capacities[3], n, sizeof *table->rounds) ||
        tg_grow(&table->changed, &capacities[4], n, sizeof *table->changed) ||
        tg_reserve_changes(table, n) || clear_failures(table, n + batch->n_failed))
        return -1;
    table->events_capacity = capacities[0];
    table->n_steps = table->n_changed = table->n_met = table->n_repeats = table->text_size = 0;
    if (tg_arena_take(table->arena, n, batch->keys, table->slots, table->fresh)) return -1;
    for (size_t i = 0; i < batch->n_failed; i++) {
        int64_t slot;
        tg_arena_find(table->arena, 1, &batch->failed[i], &slot);
        if (slot >= 0) add_failure(table, batch->failed_requests[i], slot);
    }
    return 0;
}

/* Sorts the events of a share by their turn within their session, and otherwise leaves them in order; how
 * many turns there are. `rounds` gets where each ends. `before` is the last call of an earlier batch. */
static size_t make_rounds(tg_table *table, uint64_t before, size_t first, size_t n) {
    const int64_t *slots = table->slots + first;
    size_t count = 0;
    table->call++;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) __builtin_prefetch(tg_session_of(table, slots[i + AHEAD]), 1);
        tg_session *its = tg_session_of(table, slots[i]);
        if (its->call <= before) its->changed = 0;
        its->turn = its->call == table->call ? its->turn + 1 : 0;
        its->call = table->call;
        if (its->turn == count) table->rounds[count++] = 0;
        table->rounds[its->turn]++;
        table->order[i] = its->turn;
    }
    return count;
}

static void sort_rounds(tg_table *table, size_t first, size_t n, size_t count) {
    uint32_t *turns = table->order, start = 0, sorted[SHARE]; /* a counting sort */
    for (size_t r = 0; r < count; r++) {
        const uint32_t size = table->rounds[r];
        table->rounds[r] = start;
        start += size;
    }
    for (size_t i = 0; i < n; i++) sorted[table->rounds[turns[i]]++] = (uint32_t)(first + i);
    memcpy(table->order, sorted, n * sizeof *sorted);
}

static void fetch(const tg_table *table, size_t n, size_t at) {
    if (at + AHEAD < n) tg_arena_prefetch(table->arena, table->slots[table->order[at + AHEAD]]);
    if (at + AHEAD_BLOBS < n)
        tg_kept_prefetch(&tg_session_of(table, table->slots[table->order[at + AHEAD_BLOBS]])->kept);
}

/* Does some of a batch while its sessions are in the cache. */
static int run_share(tg_table *table, tg_batch *batch, uint64_t before, size_t first, size_t n) {
    const size_t most = tg_events_at_once(batch->threads), count = make_rounds(table, before, first, n);
    if (count > 1) sort_rounds(table, first, n, count);
    else
        for (size_t i = 0; i < n; i++) table->order[i] = (uint32_t)(first + i);
    if (count == 1) table->rounds[0] = (uint32_t)n;
    for (size_t r = 0, at = 0; r < count; r++) {
        for (; at < table->rounds[r]; at++) {
            fetch(table, n, at);
            if (judge(table, batch, table->order[at])) return -1;
            if (table->n_steps == most && flush(table, batch)) return -1;
        }
        if (table->n_steps && flush(table, batch)) return -1;
    }
    return 0;
}

int tg_table_process(tg_table *table, tg_batch *batch) {
    const uint64_t before = table->call;
    batch->changed = 0;
    if (prepare(table, batch)) return -1;
    int result = 0;
    for (size_t done = 0; done < batch->n && !result; done += SHARE) {
        const size_t n = batch->n - done < SHARE ? batch->n - done : SHARE;
        result = run_share(table, batch, before, done, n);
    }
    for (size_t i = 0; i < table->n_changed && batch->group && !result; i++)
        result = tg_put_record(table, batch->group, table->changed[i]);
    for (size_t i = 0; i < batch->n; i++)
        if (table->fresh[i] && tg_session_of(table, table->slots[i])->status == TG_UNKNOWN)
            tg_drop(table, table->slots[i]);
    batch->changed = table->n_changed;
    return result;
}

tg_met_states tg_table_met(const tg_table *table) {
    return (tg_met_states){table->n_met, table->met_events, table->met_states};
}

tg_versions tg_table_versions(const tg_table *table) {
    return (tg_versions){table->n_repeats, table->version_events, table->version_ends, table->version_text};
}

/* ---- Memory ---- */

int tg_batches_new(tg_table *table, const tg_model *model, const tg_schema *schema) {
    const size_t most = TG_MOST_EVENTS;
    table->steps = malloc(most * sizeof *table->steps);
    table->events = malloc(most * sizeof *table->events);
    table->outputs = malloc(most * model->answer_size * sizeof *table->outputs);
    table->words = malloc((schema->n_fields + 1) * sizeof *table->words);
    if (!table->steps || !table->events || !table->outputs || !table->words) return -1;
    return tg_bench_new(&table->bench, model, schema, most);
}

void tg_batches_free(tg_table *table) {
    tg_bench_free(&table->bench);
    free(table->slots);
    free(table->fresh);
    free(table->order);
    free(table->rounds);
    free(table->changed);
    free(table->steps);
    free(table->events);
    free(table->outputs);
    free(table->words);
    free(table->failures);
    free(table->met_events);
    free(table->met_states);
    free(table->version_events);
    free(table->version_ends);
    free(table->version_text);
}
