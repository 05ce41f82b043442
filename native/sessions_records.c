/* Sessions as records: how they go into a group, and how they come from a store. */
#include <math.h>

#include "sessions_internal.h"

int tg_put_record(tg_table *table, tg_group *group, int64_t slot) {
    const tg_session *its = tg_session_of(table, slot);
    const tg_rest *more = its->rest;
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
static int load_rest(tg_table *table, tg_session *its, tg_span data, const tg_decoded *decoded) {
    static const uint8_t none[4]; /* an events section without any */
    tg_span state = decoded->record.answer_state, events = decoded->record.events;
    size_t others = decoded->n_others ? tg_record_others(data, NULL) : 0;
    if (tg_same(events, (tg_span){none, sizeof none})) events.size = 0;
    if (its->foreign) state.size = events.size = others = 0;
    if (!its->foreign && !state.size && !events.size && !others) return 0;
    tg_rest *made = malloc(sizeof *made + state.size + events.size + others);
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
    tg_session *its = tg_session_of(table, slot);
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
    const int64_t version = tg_version_index(table, record->model_version);
    if (version < 0) return -1;
    its->foreign = (uint8_t)foreign;
    if (load_rest(table, its, data, &decoded)) return -1;
    if (!foreign) {
        if (tg_kept_load(&its->kept, &table->limits, its->home, record->answers,
                         version ? record->model_version : (tg_span){NULL, 0}))
            return -1;
        table->kept_bytes += tg_kept_bytes(&its->kept);
        if (!record->status) tg_record_load(table->arena, &decoded, slot);
    }
    its->seq = (int64_t)record->seq;
    its->time = record->time;
    its->created = record->created;
    its->updated = record->updated;
    its->version = (uint32_t)version;
    tg_set_status(table, its, (tg_status)(TG_LIVE + record->status));
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
            tg_drop(table, slot);
            return -1;
        }
    }
    return 0;
}
