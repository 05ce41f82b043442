#include "sessions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"
#include "xxh64.h"

#define AHEAD 24       /* events whose slots are fetched before their turn */
#define AHEAD_BLOBS 12 /* and, once those are there, their answers */

/* What is rarely there: the fingerprint of another model, or sections that no rule needs. */
typedef struct {
    uint8_t fingerprint[TG_FINGERPRINT_SIZE];
    uint32_t answer_state, events, others; /* bytes of each, which follow */
    uint16_t n_others;
    uint8_t data[];
} rest;

/* A slot's extra bytes. All zeros: a session of which nothing is known. */
typedef struct {
    int64_t seq;
    double time, created, updated;
    uint64_t ticket;
    tg_kept kept;
    rest *rest;
    uint64_t call;    /* the last one that had an event of this session, */
    uint32_t turn;    /* and how many it had before the last of them */
    uint32_t version; /* index of the table's versions; 0: the model's own */
    uint8_t status; /* tg_status */
    uint8_t foreign;
    uint8_t changed; /* by this call */
} head;

/* That a session changed in the group of a ticket. */
typedef struct {
    uint64_t ticket;
    int64_t slot;
} change;

/* A session of which an event of a request failed. */
typedef struct {
    int64_t request;
    uint32_t session; /* slot + 1; 0: free */
} failure;

/* An event on its way through the model. */
typedef struct {
    size_t event;
    int64_t slot;
    int64_t seq;
    uint64_t hash;
    uint8_t marks;
    tg_outcome outcome;
} step;

struct tg_table {
    tg_arena *arena;
    tg_bench bench;
    uint8_t fingerprint[TG_FINGERPRINT_SIZE];
    const size_t *positions;
    tg_limits limits;
    double ttl, tombstone;
    tg_span *versions; /* copies; the first is the model's own */
    size_t n_versions, versions_capacity;
    uint8_t *key; /* the prefix, and room for an id */
    size_t prefix_size;
    size_t live, kept_bytes, rest_bytes;
    change *log; /* what changed, in order, from log_start on: all that may not be durable */
    size_t log_start, log_end, log_capacity;
    uint64_t call;

    /* Of the batch at hand; kept from call to call. */
    size_t events_capacity;
    int64_t *slots;
    uint8_t *fresh;
    uint32_t *order, *rounds;
    int64_t *changed;
    size_t n_changed;
    step *steps;
    tg_event *events;
    float *outputs;
    size_t n_steps;
    uint64_t *words;
    failure *failures; /* an open hash table */
    size_t n_failures, failures_capacity;
    size_t *met_events, *version_events, *version_ends;
    double *met_states;
    char *version_text;
    size_t n_met, met_capacity, met_states_capacity, n_repeats, repeats_capacity, ends_capacity,
        text_size, text_capacity;
};

static head *head_of(const tg_table *table, int64_t slot) { return tg_arena_extra(table->arena, slot); }

/* Room for so many items; 0, or -1 with nothing changed. */
static int reserve(void *memory, size_t *capacity, size_t wanted, size_t item) {
    if (wanted <= *capacity) return 0;
    size_t larger = *capacity ? *capacity : 64;
    while (larger < wanted) larger *= 2;
    void *old, *grown;
    memcpy(&old, memory, sizeof old);
    if (!(grown = realloc(old, larger * item))) return -1;
    memcpy(memory, &grown, sizeof grown);
    *capacity = larger;
    return 0;
}

/* ---- Sessions and what hangs on them ---- */

static size_t rest_size(const rest *its) {
    return its ? sizeof *its + its->answer_state + its->events + its->others : 0;
}

static void drop_rest(tg_table *table, head *its) {
    table->rest_bytes -= rest_size(its->rest);
    free(its->rest);
    its->rest = NULL;
}

static void drop_kept(tg_table *table, head *its) {
    table->kept_bytes -= tg_kept_bytes(&its->kept);
    tg_kept_free(&its->kept);
}

static void set_status(tg_table *table, head *its, tg_status status) {
    table->live += (size_t)(status == TG_LIVE) - (size_t)(its->status == TG_LIVE);
    its->status = (uint8_t)status;
}

static void drop(tg_table *table, int64_t slot) {
    head *its = head_of(table, slot);
    set_status(table, its, TG_UNKNOWN);
    drop_kept(table, its);
    drop_rest(table, its);
    its->ticket = 0; /* for the log, which may still name the slot */
    tg_arena_drop(table->arena, slot);
}

/* Room in the log for n changes more. 0, or -1: out of memory. */
static int reserve_log(tg_table *table, size_t n) {
    if (table->log_end + n <= table->log_capacity) return 0;
    /* First without what is durable, and without changes that a later one of the session follows. */
    size_t end = 0;
    for (size_t i = table->log_start; i < table->log_end; i++)
        if (head_of(table, table->log[i].slot)->ticket == table->log[i].ticket)
            table->log[end++] = table->log[i];
    table->log_start = 0;
    table->log_end = end;
    return reserve(&table->log, &table->log_capacity, 2 * (end + n), sizeof *table->log);
}

/* There is room. Ticket 0 is every session's to begin with, and never rolled back. */
static void log_change(tg_table *table, int64_t slot, uint64_t ticket) {
    head *its = head_of(table, slot);
    if (its->ticket == ticket) return;
    its->ticket = ticket;
    table->log[table->log_end++] = (change){ticket, slot};
}

/* The status at a time: the old die, and what is dead is forgotten. */
static tg_status status_at(const tg_table *table, const head *its, double now) {
    if (its->status == TG_UNKNOWN || its->status == TG_DAMAGED) return its->status;
    if (its->status == TG_LIVE) {
        if (!(now - its->updated >= table->ttl)) return TG_LIVE;
        return now - (its->updated + table->ttl) >= table->tombstone ? TG_UNKNOWN : TG_EXPIRED;
    }
    return now - its->updated >= table->tombstone ? TG_UNKNOWN : its->status;
}

/* ---- The versions of the model that are met ---- */

static int same(tg_span a, tg_span b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The index of a version, or -1: out of memory. */
static int64_t version_index(tg_table *table, tg_span version) {
    for (size_t i = 0; i < table->n_versions; i++)
        if (same(table->versions[i], version)) return (int64_t)i;
    if (reserve(&table->versions, &table->versions_capacity, table->n_versions + 1, sizeof *table->versions))
        return -1;
    uint8_t *copy = malloc(version.size + 1);
    if (!copy) return -1;
    if (version.size) memcpy(copy, version.data, version.size);
    table->versions[table->n_versions] = (tg_span){copy, version.size};
    return (int64_t)table->n_versions++;
}

/* ---- Records ---- */

/* Adds the session's record to the group. */
static int put_record(tg_table *table, tg_group *group, int64_t slot) {
    const head *its = head_of(table, slot);
    const rest *more = its->rest;
    const uint8_t *fingerprint = its->foreign ? more->fingerprint : table->fingerprint;
    tg_record record = {.seq = (uint64_t)its->seq,
                        .time = its->time,
                        .created = its->created,
                        .updated = its->updated,
                        .status = (uint32_t)(its->status - TG_LIVE),
                        .model_version = table->versions[its->version],
                        .answers = {its->kept.data, its->kept.size},
                        .stateless = its->status != TG_LIVE};
    if (more) {
        record.answer_state = (tg_span){more->data, more->answer_state};
        record.events = (tg_span){more->data + more->answer_state, more->events};
        record.others = (tg_span){more->data + more->answer_state + more->events, more->others};
        record.n_others = more->n_others;
    }
    const tg_key key = tg_arena_key(table->arena, slot);
    memcpy(table->key + table->prefix_size, key.data, key.size);
    const size_t size = tg_record_size(table->arena, &record);
    uint8_t *at = tg_group_add(group, table->key, table->prefix_size + key.size,
                               its->status == TG_LIVE ? TG_FRAME_LIVE : TG_FRAME_TOMBSTONE, its->updated, size);
    if (!at) return -1;
    tg_record_encode(table->arena, fingerprint, slot, &record, at);
    /* Instead of tg_group_seal: a second walk over the record would find what is known already. */
    tg_group_frame(group, group->n - 1)->value_crc = TG_RECORD_CRC;
    return 0;
}

/* Keeps a record's sections that no rule needs. 0, or -1: out of memory. */
static int load_rest(tg_table *table, head *its, tg_span data, const tg_decoded *decoded) {
    static const uint8_t none[4]; /* an events section without any */
    tg_span state = decoded->record.answer_state, events = decoded->record.events;
    size_t others = decoded->n_others ? tg_record_others(data, NULL) : 0;
    if (same(events, (tg_span){none, sizeof none})) events.size = 0;
    if (its->foreign) state.size = events.size = others = 0;
    if (!its->foreign && !state.size && !events.size && !others) return 0;
    rest *made = malloc(sizeof *made + state.size + events.size + others);
    if (!made) return -1;
    memcpy(made->fingerprint, decoded->fingerprint, TG_FINGERPRINT_SIZE);
    made->answer_state = (uint32_t)state.size;
    made->events = (uint32_t)events.size;
    made->others = (uint32_t)others;
    made->n_others = others ? decoded->n_others : 0;
    if (state.size) memcpy(made->data, state.data, state.size);
    if (events.size) memcpy(made->data + state.size, events.data, events.size);
    if (others) tg_record_others(data, made->data + state.size + events.size);
    its->rest = made;
    table->rest_bytes += rest_size(made);
    return 0;
}

/* What the codec lets pass and no session of this table's can be. */
static int is_sane(const tg_table *table, const tg_decoded *decoded, int foreign) {
    const tg_record *record = &decoded->record;
    if (record->seq >= INT64_MAX || !isfinite(record->time) || !isfinite(record->created) ||
        !isfinite(record->updated))
        return 0;
    return foreign || tg_kept_fits(record->answers, table->limits.answer_size);
}

static int load_one(tg_table *table, int64_t slot, tg_span data, uint8_t *code) {
    head *its = head_of(table, slot);
    tg_decoded decoded = tg_record_decode(table->arena, table->fingerprint, data);
    const tg_record *record = &decoded.record;
    const int foreign = decoded.code == TG_RECORD_OTHER_MODEL;
    const int tombstone = decoded.code >= TG_RECORD_OTHER_MODEL && record->status != 0;
    if (tombstone && decoded.code == TG_RECORD_OTHER_SIZE) decoded.code = TG_RECORD_OK;
    if ((decoded.code == TG_RECORD_OK || foreign) && !is_sane(table, &decoded, foreign))
        decoded.code = TG_RECORD_DAMAGED;
    *code = (uint8_t)decoded.code;
    if (decoded.code != TG_RECORD_OK && decoded.code != TG_RECORD_OTHER_MODEL) {
        its->status = TG_DAMAGED;
        return 0;
    }
    const int64_t version = version_index(table, record->model_version);
    if (version < 0) return -1;
    its->foreign = (uint8_t)foreign;
    if (load_rest(table, its, data, &decoded)) return -1;
    if (!foreign) {
        if (tg_kept_load(&its->kept, record->answers, version ? record->model_version : (tg_span){NULL, 0}))
            return -1;
        table->kept_bytes += tg_kept_bytes(&its->kept);
        if (!record->status) tg_record_load(table->arena, &decoded, slot);
    }
    its->seq = (int64_t)record->seq;
    its->time = record->time;
    its->created = record->created;
    its->updated = record->updated;
    its->version = (uint32_t)version;
    set_status(table, its, (tg_status)(TG_LIVE + record->status));
    return 0;
}

int tg_table_load(tg_table *table, size_t n, const tg_key *keys, const tg_span *records, uint8_t *codes) {
    for (size_t i = 0; i < n; i++) {
        int64_t slot;
        uint8_t fresh;
        codes[i] = TG_RECORD_OK;
        if (!records[i].data) continue;
        if (tg_arena_take(table->arena, 1, &keys[i], &slot, &fresh)) return -1;
        if (fresh && load_one(table, slot, records[i], &codes[i])) {
            drop(table, slot);
            return -1;
        }
    }
    return 0;
}

/* ---- The failures of a batch: (request, session) ---- */

static failure *failure_at(const tg_table *table, int64_t request, int64_t slot) {
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t hash = ((uint64_t)request * factor ^ (uint64_t)slot) * factor;
    const size_t mask = table->failures_capacity - 1;
    for (size_t at = (size_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
        failure *found = &table->failures[at];
        if (!found->session || (found->session == (uint32_t)(slot + 1) && found->request == request))
            return found;
    }
}

static int has_failed(const tg_table *table, int64_t request, int64_t slot) {
    return table->n_failures && failure_at(table, request, slot)->session;
}

/* There is room: `prepare` made it. */
static void add_failure(tg_table *table, int64_t request, int64_t slot) {
    failure *found = failure_at(table, request, slot);
    if (found->session) return;
    *found = (failure){request, (uint32_t)(slot + 1)};
    table->n_failures++;
}

static int clear_failures(tg_table *table, size_t most) {
    size_t wanted = 16;
    while (wanted < 2 * most) wanted *= 2;
    if (wanted > table->failures_capacity) {
        failure *grown = calloc(wanted, sizeof *grown);
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
    const size_t n_outputs = table->bench.model->output_size;
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

static int repeat(tg_table *table, tg_batch *batch, size_t event, const head *its, tg_verdict verdict) {
    const tg_kept_answer kept = tg_kept_at(&its->kept, verdict.answer);
    batch->codes[event] = TG_REPEAT;
    batch->numbers[event] = verdict.seq;
    batch->effective[event] = kept.time;
    batch->marks[event] = (uint8_t)(TG_MARK_DUPLICATE | (kept.reset ? TG_MARK_RESET : 0));
    memcpy(batch->outputs + event * table->bench.model->output_size, kept.answer.data,
           table->limits.answer_size);
    if (!kept.version.size || same(kept.version, table->versions[0])) return 0;
    const size_t end = table->text_size + kept.version.size;
    if (reserve(&table->version_text, &table->text_capacity, end, 1) ||
        reserve(&table->version_events, &table->repeats_capacity, table->n_repeats + 1, sizeof(size_t)) ||
        reserve(&table->version_ends, &table->ends_capacity, table->n_repeats + 1, sizeof(size_t)))
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
    head *its = head_of(table, slot);
    batch->numbers[event] = seq;
    batch->expected[event] = -1;
    batch->effective[event] = isnan(time) ? batch->received : time;
    batch->marks[event] = 0;
    batch->faults[2 * event] = batch->faults[2 * event + 1] = 0;
    if (flags & TG_EVENT_REFUSED && !failed) {
        refuse(table, batch, event, TG_REFUSED, -1);
        return 0;
    }
    tg_known known = {status_at(table, its, batch->received), its->seq, 0, NULL};
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
    const int no_room = tg_kept_reserve(&its->kept, &table->limits, begins);
    table->kept_bytes += tg_kept_bytes(&its->kept);
    if (no_room) return -1;
    const size_t k = table->n_steps++;
    table->steps[k] = (step){event, slot, verdict.seq, hash, marks, verdict.outcome};
    table->events[k] = (tg_event){.raw = batch->raw + event * table->bench.schema->n_fields,
                                  .time = batch->effective[event],
                                  .encoder = tg_arena_encoder(table->arena, slot),
                                  .hidden = tg_arena_hidden(table->arena, slot),
                                  .begins = begins,
                                  .output = table->outputs + k * table->bench.model->output_size};
    return 0;
}

/* Takes an event that was stepped into its session. */
static void keep(tg_table *table, tg_batch *batch, const step *done) {
    head *its = head_of(table, done->slot);
    const size_t event = done->event;
    const int continues = done->outcome == TG_STEP, ends = flags_of(batch, event) & TG_EVENT_END;
    if (!continues) its->created = batch->received;
    if (!continues || its->foreign) {
        drop_rest(table, its);
        tg_kept_clear(&its->kept);
    }
    its->foreign = 0;
    its->version = 0;
    set_status(table, its, ends ? TG_ENDED : TG_LIVE);
    its->seq = done->seq;
    its->time = batch->effective[event];
    its->updated = batch->received;
    tg_kept_add(&its->kept, &table->limits, done->seq, done->hash, its->time, batch->outputs +
                event * table->bench.model->output_size, done->marks & TG_MARK_RESET);
    batch->codes[event] = (uint8_t)done->outcome;
    batch->numbers[event] = done->seq;
    batch->marks[event] = (uint8_t)(done->marks | (ends ? TG_MARK_ENDED : 0));
    if (its->changed) return;
    its->changed = 1;
    log_change(table, done->slot, batch->ticket);
    table->changed[table->n_changed++] = done->slot;
}

static int keep_met(tg_table *table, const tg_event *event, size_t index) {
    const size_t size = table->bench.schema->state_size;
    if (reserve(&table->met_events, &table->met_capacity, table->n_met + 1, sizeof(size_t)) ||
        reserve(&table->met_states, &table->met_states_capacity, (table->n_met + 1) * size + 1, sizeof(double)))
        return -1;
    double *state = table->met_states + table->n_met * size;
    for (size_t i = 0; i < size; i++) state[i] = event->begins ? NAN : event->encoder[i];
    table->met_events[table->n_met++] = index;
    return 0;
}

/* Steps the events that were judged to be. */
static int flush(tg_table *table, tg_batch *batch) {
    const size_t n = table->n_steps, n_outputs = table->bench.model->output_size;
    int result = 0;
    table->n_steps = 0;
    tg_step_events(&table->bench, n, table->events, batch->threads);
    for (size_t k = 0; k < n; k++) {
        const tg_event *event = &table->events[k];
        const step *done = &table->steps[k];
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

/* Memory for a batch, and its sessions' slots. */
static int prepare(tg_table *table, const tg_batch *batch) {
    const size_t n = batch->n;
    size_t capacities[] = {table->events_capacity, table->events_capacity, table->events_capacity,
                           table->events_capacity, table->events_capacity};
    if (reserve(&table->slots, &capacities[0], n, sizeof *table->slots) ||
        reserve(&table->fresh, &capacities[1], n, sizeof *table->fresh) ||
        reserve(&table->order, &capacities[2], n, sizeof *table->order) ||
        reserve(&table->rounds, &capacities[3], n, sizeof *table->rounds) ||
        reserve(&table->changed, &capacities[4], n, sizeof *table->changed) ||
        reserve_log(table, n) || clear_failures(table, n + batch->n_failed))
        return -1;
    table->events_capacity = capacities[0];
    table->n_steps = table->n_changed = table->n_met = table->n_repeats = table->text_size = 0;
    return tg_arena_take(table->arena, n, batch->keys, table->slots, table->fresh);
}

/* Sorts the events by their turn within their session, and otherwise leaves them in order; how many turns
 * there are. `rounds` gets where each ends. */
static size_t make_rounds(tg_table *table, size_t n) {
    size_t count = 0;
    table->call++;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) __builtin_prefetch(head_of(table, table->slots[i + AHEAD]), 1);
        head *its = head_of(table, table->slots[i]);
        its->turn = its->call == table->call ? its->turn + 1 : 0;
        its->call = table->call;
        its->changed = 0;
        if (its->turn == count) table->rounds[count++] = 0;
        table->rounds[its->turn]++;
        table->order[i] = its->turn;
    }
    return count;
}

static void sort_rounds(tg_table *table, size_t n, size_t count) {
    /* Counting sort, in place of `order`: `changed` is free until something changes. */
    uint32_t *turns = table->order, start = 0;
    int64_t *sorted = table->changed;
    for (size_t r = 0; r < count; r++) {
        const uint32_t size = table->rounds[r];
        table->rounds[r] = start;
        start += size;
    }
    for (size_t i = 0; i < n; i++) sorted[table->rounds[turns[i]]++] = (int64_t)i;
    for (size_t i = 0; i < n; i++) table->order[i] = (uint32_t)sorted[i];
}

static void fetch(const tg_table *table, size_t n, size_t at) {
    if (at + AHEAD < n) tg_arena_prefetch(table->arena, table->slots[table->order[at + AHEAD]]);
    if (at + AHEAD_BLOBS < n)
        tg_kept_prefetch(&head_of(table, table->slots[table->order[at + AHEAD_BLOBS]])->kept);
}

static int run_rounds(tg_table *table, tg_batch *batch) {
    const size_t n = batch->n;
    const size_t count = make_rounds(table, n);
    if (count > 1) sort_rounds(table, n, count);
    else
        for (size_t i = 0; i < n; i++) table->order[i] = (uint32_t)i;
    if (count == 1) table->rounds[0] = (uint32_t)n;
    for (size_t i = 0; i < batch->n_failed; i++) {
        int64_t slot;
        tg_arena_find(table->arena, 1, &batch->failed[i], &slot);
        if (slot >= 0) add_failure(table, batch->failed_requests[i], slot);
    }
    const size_t most = tg_events_at_once(batch->threads);
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
    batch->changed = 0;
    if (prepare(table, batch)) return -1;
    int result = run_rounds(table, batch);
    for (size_t i = 0; i < table->n_changed && batch->group && !result; i++)
        result = put_record(table, batch->group, table->changed[i]);
    for (size_t i = 0; i < batch->n; i++)
        if (table->fresh[i] && head_of(table, table->slots[i])->status == TG_UNKNOWN)
            drop(table, table->slots[i]);
    batch->changed = table->n_changed;
    return result;
}

tg_met_states tg_table_met(const tg_table *table) {
    return (tg_met_states){table->n_met, table->met_events, table->met_states};
}

tg_versions tg_table_versions(const tg_table *table) {
    return (tg_versions){table->n_repeats, table->version_events, table->version_ends, table->version_text};
}

/* ---- Deleting, dropping, looking ---- */

int tg_table_delete(tg_table *table, int64_t slot, double now, tg_group *group, uint64_t ticket) {
    head *its = head_of(table, slot);
    const tg_status status = status_at(table, its, now);
    if (status == TG_UNKNOWN) return 0;
    if (status == TG_DELETED) return 1;
    if (reserve_log(table, 1)) return -1;
    const head before = *its;
    if (status == TG_DAMAGED) its->time = its->created = now;
    its->updated = now;
    its->kept = (tg_kept){0};
    if (!its->foreign) its->rest = NULL;
    its->status = TG_DELETED;
    if (group && put_record(table, group, slot)) {
        *its = before;
        return -1;
    }
    head *gone = &(head){.kept = before.kept, .rest = its->rest ? NULL : before.rest};
    drop_kept(table, gone);
    drop_rest(table, gone);
    table->live -= before.status == TG_LIVE;
    log_change(table, slot, ticket);
    return 1;
}

size_t tg_table_evict(tg_table *table, size_t n, uint64_t durable) {
    enum { SOME = 256 };
    int64_t slots[SOME];
    size_t dropped = 0, left = 2 * tg_table_count(table); /* by then the clock has given each one */
    while (table->log_start < table->log_end && table->log[table->log_start].ticket <= durable)
        table->log_start++;
    if (table->log_start == table->log_end) table->log_start = table->log_end = 0;
    while (dropped < n && left > 0) {
        size_t wanted = n - dropped < SOME ? n - dropped : SOME;
        if (wanted > left) wanted = left;
        const size_t found = tg_arena_coldest(table->arena, wanted, slots);
        for (size_t i = 0; i < found; i++) {
            if (head_of(table, slots[i])->ticket > durable) continue;
            drop(table, slots[i]);
            dropped++;
        }
        if (!found) break;
        left -= found;
    }
    return dropped;
}

size_t tg_table_rollback(tg_table *table, uint64_t durable) {
    size_t dropped = 0;
    for (; table->log_end > table->log_start; table->log_end--) {
        const change last = table->log[table->log_end - 1];
        if (last.ticket <= durable) break;
        if (head_of(table, last.slot)->ticket <= durable) continue; /* dropped already */
        drop(table, last.slot);
        dropped++;
    }
    return dropped;
}

tg_view tg_table_view(const tg_table *table, int64_t slot, double now) {
    const head *its = head_of(table, slot);
    tg_view view = {.status = status_at(table, its, now),
                    .seq = its->seq,
                    .time = its->time,
                    .created = its->created,
                    .updated = its->updated,
                    .version = table->versions[its->version],
                    .foreign = its->foreign,
                    .answers = {its->kept.data, its->kept.size}};
    if (its->status == TG_LIVE && !its->foreign) {
        view.encoder = tg_arena_encoder(table->arena, slot);
        view.hidden = tg_arena_hidden(table->arena, slot);
    }
    return view;
}

/* ---- The whole ---- */

size_t tg_table_count(const tg_table *table) { return tg_arena_count(table->arena); }

size_t tg_table_live(const tg_table *table) { return table->live; }

size_t tg_table_bytes(const tg_table *table) {
    return tg_arena_bytes(table->arena) + table->kept_bytes + table->rest_bytes +
           table->log_capacity * sizeof *table->log;
}

uint64_t tg_table_ticket(const tg_table *table) {
    return table->log_end > table->log_start ? table->log[table->log_end - 1].ticket : 0;
}

void tg_table_find(const tg_table *table, size_t n, const tg_key *keys, int64_t *slots) {
    tg_arena_find(table->arena, n, keys, slots);
}

tg_table *tg_table_new(const tg_table_options *options) {
    const tg_model *model = options->model;
    tg_table *table = calloc(1, sizeof *table);
    if (!table) return NULL;
    const size_t most = TG_MOST_EVENTS;
    memcpy(table->fingerprint, options->fingerprint, TG_FINGERPRINT_SIZE);
    table->positions = options->positions;
    table->limits = (tg_limits){options->answers, options->answer_bytes, model->output_size * sizeof(float)};
    table->ttl = options->ttl_seconds;
    table->tombstone = options->tombstone_seconds;
    table->prefix_size = options->key_prefix.size;
    table->arena = tg_arena_new(model->state_size, options->schema->state_size, sizeof(head));
    table->key = malloc(table->prefix_size + TG_KEY_MAX);
    table->steps = malloc(most * sizeof *table->steps);
    table->events = malloc(most * sizeof *table->events);
    table->outputs = malloc(most * model->output_size * sizeof *table->outputs);
    table->words = malloc((options->schema->n_fields + 1) * sizeof *table->words);
    if (!table->arena || !table->key || !table->steps || !table->events || !table->outputs ||
        !table->words || tg_bench_new(&table->bench, model, options->schema, most) ||
        version_index(table, options->version) < 0) {
        tg_table_free(table);
        return NULL;
    }
    if (table->prefix_size) memcpy(table->key, options->key_prefix.data, table->prefix_size);
    return table;
}

void tg_table_free(tg_table *table) {
    if (!table) return;
    if (table->arena)
        for (size_t slot = 0; slot < table->arena->high_water; slot++) {
            head *its = head_of(table, (int64_t)slot); /* of a free slot: nothing hangs on it */
            tg_kept_free(&its->kept);
            free(its->rest);
        }
    tg_arena_free(table->arena);
    for (size_t i = 0; i < table->n_versions; i++) free((uint8_t *)table->versions[i].data);
    free(table->versions);
    tg_bench_free(&table->bench);
    free(table->key);
    free(table->slots);
    free(table->fresh);
    free(table->order);
    free(table->rounds);
    free(table->changed);
    free(table->log);
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
    free(table);
}
