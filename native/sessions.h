/* The sessions of a server in memory: hidden state, encoder state, and a head (status, number and times of
 * the last event, kept answers), and a batch of events through the sequence rules, the schema and the model.
 *
 * A session changes as a whole or not at all. `ticket` is the number of the group of changes in which a
 * session last changed: those of later groups than the durable ones can be dropped all at once, and none of
 * them is evicted. Not thread-safe: the owner locks. Sizes are trusted; records are not.
 */
#ifndef TIDEGATE_SESSIONS_H
#define TIDEGATE_SESSIONS_H

#include "arena.h"
#include "events.h"
#include "group.h"
#include "record.h"
#include "rules.h"

typedef struct tg_table tg_table;

typedef struct {
    const tg_model *model; /* these two stay alive */
    const tg_schema *schema;
    const size_t *positions; /* place of each of the schema's fields in a payload; stays alive */
    const uint8_t *fingerprint; /* these three are copied */
    tg_span version;
    tg_span key_prefix; /* stands before a session's id in a store */
    uint32_t answers;   /* K: kept for retries; at least 1 */
    size_t answer_bytes; /* bound on their bytes; the last one is always kept */
    double ttl_seconds, tombstone_seconds;
} tg_table_options;

/* NULL: out of memory, or no random seed to be had. */
tg_table *tg_table_new(const tg_table_options *options);
void tg_table_free(tg_table *table);

size_t tg_table_count(const tg_table *table);
size_t tg_table_live(const tg_table *table); /* those that have not ended, whatever their age */
size_t tg_table_bytes(const tg_table *table);
/* The latest ticket of a session that is not known to be durable, or 0. */
uint64_t tg_table_ticket(const tg_table *table);

/* The slot of each session; -1: not held. */
void tg_table_find(const tg_table *table, size_t n, const tg_key *keys, int64_t *slots);

/* Takes in what a store has of n sessions (no data: nothing is taken in). Sessions that the table holds are
 * left alone. Records that are no live session of this model's with its sizes, nor a tombstone, nor another
 * model's are held as damaged, and their code says why. 0, or -1: out of memory, and the rest is not read. */
int tg_table_load(tg_table *table, size_t n, const tg_key *keys, const tg_span *records, uint8_t *codes);

/* Flags of events. */
enum { TG_EVENT_START = 1, TG_EVENT_END = 2, TG_EVENT_REFUSED = 4 };

/* Marks of answered events; of a failed one only the last. */
enum {
    TG_MARK_DUPLICATE = 1,
    TG_MARK_RESET = 2, /* the session belonged to another model; of a duplicate: when it was first answered */
    TG_MARK_TIME_BACKWARDS = 4,
    TG_MARK_START_ON_LIVE = 8,
    TG_MARK_START_ON_TOMBSTONE = 16,
    TG_MARK_START_ON_DAMAGED = 32,
    TG_MARK_ENDED = 64,
    TG_MARK_AFTER_FAILURE = 128
};

typedef struct {
    size_t n;
    const tg_key *keys;
    const int64_t *seqs;     /* 0: none given; NULL: none has any */
    const double *times;     /* NaN: none given; NULL: none has any */
    double received;         /* unix seconds: now */
    const uint8_t *flags;    /* NULL: none */
    const int64_t *requests; /* NULL: all in one, 0 */
    const double *raw;       /* n x fields */
    const uint64_t *texts;   /* n x fields: the hash of a category's text, or TG_MISSING_WORD */
    size_t n_failed;         /* sessions of which an event failed earlier in the request */
    const tg_key *failed;
    const int64_t *failed_requests;
    tg_group *group; /* NULL: nobody wants the changes */
    uint64_t ticket;
    tg_threads threads;
    /* Written, for each event: */
    uint8_t *codes; /* tg_outcome */
    int64_t *numbers, *expected;
    double *effective;
    uint8_t *marks;
    float *outputs;  /* n x answer_size; NaN where there is no answer */
    int32_t *faults; /* n x 2 */
    /* Written: */
    size_t changed; /* sessions */
} tg_batch;

/* 0, or -1: out of memory. Then every session is as before some event of its; drop those of this ticket. */
int tg_table_process(tg_table *table, tg_batch *batch);

/* Of the last batch: the encoder states that events with a schema's fault met, and the versions of the model
 * that gave the answers of duplicates, where they are not this one's. */
typedef struct {
    size_t n;
    const size_t *events;
    const double *states; /* n x state_size */
} tg_met_states;
typedef struct {
    size_t n;
    const size_t *events;
    const size_t *ends; /* of text i, which begins where the one before it ends */
    const char *text;
} tg_versions;
tg_met_states tg_table_met(const tg_table *table);
tg_versions tg_table_versions(const tg_table *table);

/* Leaves a tombstone of a session. 1; 0: it is unknown; -1: out of memory, and nothing has changed. One that
 * was deleted already stays as it is. */
int tg_table_delete(tg_table *table, int64_t slot, double now, tg_group *group, uint64_t ticket);

/* Drops up to n sessions, coldest first, none that changed later than in group `durable`. Cheap with n = 0
 * and worth a call for every durable group: it shortens the log of changes that rollback needs. */
size_t tg_table_evict(tg_table *table, size_t n, uint64_t durable);

/* Drops all sessions that changed later than in group `durable`. */
size_t tg_table_rollback(tg_table *table, uint64_t durable);

/* What is known of the session of a slot at a time; TG_UNKNOWN: it is forgotten. */
typedef struct {
    tg_status status;
    int64_t seq;
    double time, created, updated;
    tg_span version;
    bool foreign; /* its record is another model's, and says no more than this */
    tg_span answers; /* as a record's section; of no bytes: none */
    const double *encoder; /* NULL: no state */
    const float *hidden;
} tg_view;
tg_view tg_table_view(const tg_table *table, int64_t slot, double now);

#endif
