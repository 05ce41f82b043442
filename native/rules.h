/* Sequence rules: what an arriving event is to its session. No I/O, no clock, no numbers.
 *
 * The same table as serve/rules.py, which explains it and words the refusals.
 */
#ifndef TIDEGATE_RULES_H
#define TIDEGATE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first eleven are those of serve/rules.py, in its order; the others are not about sequence. */
typedef enum {
    TG_STEP,
    TG_BEGIN,
    TG_BEGIN_ANEW,
    TG_REPEAT,
    TG_PAYLOAD_CONFLICT,
    TG_SEQ_STALE,
    TG_SEQ_GAP,
    TG_PREVIOUS_FAILED,
    TG_SESSION_ENDED,
    TG_SESSION_DELETED,
    TG_SESSION_EXPIRED,
    TG_REFUSED,
    TG_RECORD_IS_DAMAGED,
    TG_NOT_FINITE_OUTPUT,
    TG_SCHEMA_FAULT
} tg_outcome;

typedef enum { TG_UNKNOWN, TG_LIVE, TG_ENDED, TG_DELETED, TG_EXPIRED, TG_DAMAGED } tg_status;

/* One of the last answers, as a row of a record's `answers` section. */
typedef struct {
    uint64_t seq, hash;
    double time;
    uint32_t length;
    uint32_t more; /* bit 0: the session was reset by this event; from bit 8 on: bytes of its version */
} tg_answer_row;

/* What is known of a session: of one that is not TG_UNKNOWN, the number of its last event, and the rows
 * of its last answers, which need no alignment. */
typedef struct {
    tg_status status; /* not TG_DAMAGED: of such a session nothing is known */
    int64_t seq;
    size_t n_answers;
    const void *answers;
} tg_known;

typedef struct {
    tg_outcome outcome;
    int64_t seq;      /* that the event has or gets; 0: none */
    int64_t expected; /* what would have been accepted, where the event has another number; else -1 */
    size_t answer;    /* TG_REPEAT: index of its row */
} tg_verdict;

/* `seq` is 0 for an event without one. */
tg_verdict tg_judge(const tg_known *known, int64_t seq, uint64_t payload_hash, bool start);

/* What an event is, if an earlier one of its session in the same request failed. */
tg_verdict tg_judge_after_failure(const tg_known *known, int64_t seq);

/* As tg_judge for each of n events, none of which is applied before the next is judged. */
void tg_judge_each(size_t n, const tg_known *known, const int64_t *seqs, const uint64_t *payload_hashes,
                   const uint8_t *starts, tg_verdict *verdicts);

static inline bool tg_is_step(tg_outcome outcome) { return outcome <= TG_BEGIN_ANEW; }

#endif
