/* What the parts of the table of sessions share. */
#ifndef TIDEGATE_SESSIONS_INTERNAL_H
#define TIDEGATE_SESSIONS_INTERNAL_H

#include <stdlib.h>
#include <string.h>

#include "kept.h"
#include "sessions.h"

/* What is rarely there: the fingerprint of another model, or sections that no rule needs. */
typedef struct {
    uint8_t fingerprint[TG_FINGERPRINT_SIZE];
    uint32_t answer_state, events, others; /* bytes of each, which follow */
    uint16_t n_others;
    uint8_t data[];
} tg_rest;

/* A slot's extra bytes. All zeros: a session of which nothing is known. */
typedef struct {
    int64_t seq;
    double time, created, updated;
    uint64_t ticket;
    tg_kept kept;
    tg_rest *rest;
    uint64_t call;    /* the last one that had an event of this session, */
    uint32_t turn;    /* and how many it had before the last of them */
    uint32_t version; /* index of the table's versions; 0: the model's own */
    uint8_t status; /* tg_status */
    uint8_t foreign;
    uint8_t changed; /* by this call */
    _Alignas(8) uint8_t home[]; /* of its answers */
} tg_session;

/* That a session changed in the group of a ticket. */
typedef struct {
    uint64_t ticket;
    int64_t slot;
} tg_change;

/* A session of which an event of a request failed. */
typedef struct {
    int64_t request;
    uint32_t session; /* slot + 1; 0: free */
} tg_failure;

/* An event on its way through the model. */
typedef struct {
    size_t event;
    int64_t slot;
    int64_t seq;
    uint64_t hash;
    uint8_t marks;
    tg_outcome outcome;
} tg_pending;

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
    tg_change *log; /* what changed, in order, from log_start on: all that may not be durable */
    size_t log_start, log_end, log_capacity;
    uint64_t call;

    /* Of the batch at hand; kept from call to call. */
    size_t events_capacity;
    int64_t *slots;
    uint8_t *fresh;
    uint32_t *order, *rounds;
    int64_t *changed;
    size_t n_changed;
    tg_pending *steps;
    tg_event *events;
    float *outputs;
    size_t n_steps;
    uint64_t *words;
    tg_failure *failures; /* an open hash table */
    size_t n_failures, failures_capacity;
    size_t *met_events, *version_events, *version_ends;
    double *met_states;
    char *version_text;
    size_t n_met, met_capacity, met_states_capacity, n_repeats, repeats_capacity, ends_capacity,
        text_size, text_capacity;
};

static inline tg_session *tg_session_of(const tg_table *table, int64_t slot) {
    return tg_arena_extra(table->arena, slot);
}

/* The status at a time: the old die, and what is dead is forgotten. */
static inline tg_status tg_status_at(const tg_table *table, const tg_session *its, double now) {
    if (its->status == TG_UNKNOWN || its->status == TG_DAMAGED) return its->status;
    if (its->status == TG_LIVE) {
        if (!(now - its->updated >= table->ttl)) return TG_LIVE;
        return now - (its->updated + table->ttl) >= table->tombstone ? TG_UNKNOWN : TG_EXPIRED;
    }
    return now - its->updated >= table->tombstone ? TG_UNKNOWN : its->status;
}

/* There is room. Ticket 0 is every session's to begin with, and never rolled back. */
static inline void tg_note_change(tg_table *table, int64_t slot, uint64_t ticket) {
    tg_session *its = tg_session_of(table, slot);
    if (its->ticket == ticket) return;
    its->ticket = ticket;
    table->log[table->log_end++] = (tg_change){ticket, slot};
}

static inline size_t rest_size(const tg_rest *its) {
    return its ? sizeof *its + its->answer_state + its->events + its->others : 0;
}

static inline void tg_drop_rest(tg_table *table, tg_session *its) {
    table->rest_bytes -= rest_size(its->rest);
    free(its->rest);
    its->rest = NULL;
}

static inline void tg_drop_kept(tg_table *table, tg_session *its) {
    table->kept_bytes -= tg_kept_bytes(&its->kept);
    tg_kept_free(&its->kept);
}

static inline void tg_set_status(tg_table *table, tg_session *its, tg_status status) {
    table->live += (size_t)(status == TG_LIVE) - (size_t)(its->status == TG_LIVE);
    its->status = (uint8_t)status;
}

static inline int tg_same(tg_span a, tg_span b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* sessions.c */
void tg_drop(tg_table *table, int64_t slot);
/* Room in the log for n changes more. 0, or -1: out of memory. */
int tg_reserve_changes(tg_table *table, size_t n);
/* The index of a version, or -1: out of memory. */
int64_t tg_version_index(tg_table *table, tg_span version);

/* sessions_batch.c: the memory of batches. 0, or -1: out of memory. */
int tg_batches_new(tg_table *table, const tg_model *model, const tg_schema *schema);
void tg_batches_free(tg_table *table);

/* sessions_records.c: adds the session's record to the group. 0, or -1: out of memory. */
int tg_put_record(tg_table *table, tg_group *group, int64_t slot);

#endif
