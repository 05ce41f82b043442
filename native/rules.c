#include "rules.h"

#include <string.h>

static tg_verdict begin(int64_t seq, tg_outcome outcome) {
    if (seq > 1) return (tg_verdict){TG_SEQ_GAP, seq, 1, 0};
    return (tg_verdict){outcome, 1, -1, 0};
}

static tg_verdict gone(const tg_known *known) {
    const tg_outcome outcome = known->status == TG_ENDED     ? TG_SESSION_ENDED
                               : known->status == TG_DELETED ? TG_SESSION_DELETED
                                                             : TG_SESSION_EXPIRED;
    return (tg_verdict){outcome, known->seq, -1, 0};
}

/* Looks among the kept answers; whether there is one of that number. */
static bool find(const tg_known *known, int64_t seq, uint64_t payload_hash, tg_verdict *verdict) {
    const uint8_t *row = known->answers;
    for (size_t i = 0; i < known->n_answers; i++, row += sizeof(tg_answer_row)) {
        uint64_t stored[2];
        memcpy(stored, row, sizeof stored);
        if (stored[0] != (uint64_t)seq) continue;
        if (stored[1] == payload_hash) *verdict = (tg_verdict){TG_REPEAT, seq, -1, i};
        else *verdict = (tg_verdict){TG_PAYLOAD_CONFLICT, seq, known->seq + 1, 0};
        return true;
    }
    return false;
}

tg_verdict tg_judge(const tg_known *known, int64_t seq, uint64_t payload_hash, bool start) {
    tg_verdict found;
    if (known->status == TG_UNKNOWN) return begin(seq, TG_BEGIN);
    if (start) {
        const bool retried = seq == 1 && known->seq == 1 && find(known, seq, payload_hash, &found);
        return retried && found.outcome == TG_REPEAT ? found : begin(seq, TG_BEGIN_ANEW);
    }
    if (known->status != TG_LIVE) {
        const bool kept = seq && known->status == TG_ENDED && find(known, seq, payload_hash, &found);
        return kept && found.outcome == TG_REPEAT ? found : gone(known);
    }
    const int64_t following = known->seq + 1;
    if (seq == 0 || seq == following) return (tg_verdict){TG_STEP, following, -1, 0};
    if (seq > following) return (tg_verdict){TG_SEQ_GAP, seq, following, 0};
    if (find(known, seq, payload_hash, &found)) return found;
    return (tg_verdict){TG_SEQ_STALE, seq, following, 0};
}

tg_verdict tg_judge_after_failure(const tg_known *known, int64_t seq) {
    const int64_t expected = known->status == TG_LIVE ? known->seq + 1 : 1;
    if (seq == 0) return (tg_verdict){TG_PREVIOUS_FAILED, 0, expected, 0};
    return (tg_verdict){TG_SEQ_GAP, seq, expected, 0};
}

void tg_judge_each(size_t n, const tg_known *known, const int64_t *seqs, const uint64_t *payload_hashes,
                   const uint8_t *starts, tg_verdict *verdicts) {
    for (size_t i = 0; i < n; i++)
        verdicts[i] = tg_judge(&known[i], seqs[i], payload_hashes[i], starts[i]);
}
