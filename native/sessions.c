/* The table itself: which sessions it holds, and how they leave it. */
#include "sessions_internal.h"

#include "grow.h"

int64_t tg_version_index(tg_table *table, tg_span version) {
    for (size_t i = 0; i < table->n_versions; i++)
        if (tg_same(table->versions[i], version)) return (int64_t)i;
    if (tg_grow(&table->versions, &table->versions_capacity, table->n_versions + 1, sizeof *table->versions))
        return -1;
    uint8_t *copy = malloc(version.size + 1);
    if (!copy) return -1;
    if (version.size) memcpy(copy, version.data, version.size);
    table->versions[table->n_versions] = (tg_span){copy, version.size};
    return (int64_t)table->n_versions++;
}

tg_table *tg_table_new(const tg_table_options *options) {
    const tg_model *model = options->model;
    tg_table *table = calloc(1, sizeof *table);
    if (!table) return NULL;
    memcpy(table->fingerprint, options->fingerprint, TG_FINGERPRINT_SIZE);
    table->positions = options->positions;
    table->limits = (tg_limits){options->answers, options->answer_bytes, model->answer_size * sizeof(float), 0};
    table->limits.home = tg_kept_home(&table->limits);
    table->ttl = options->ttl_seconds;
    table->tombstone = options->tombstone_seconds;
    table->prefix_size = options->key_prefix.size;
    table->arena = tg_arena_new(model->state_size, options->schema->state_size,
                                sizeof(tg_session) + table->limits.home, model->initial);
    table->key = malloc(table->prefix_size + TG_KEY_MAX);
    if (!table->arena || !table->key || tg_batches_new(table, model, options->schema) ||
        tg_version_index(table, options->version) < 0) {
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
            tg_session *its = tg_session_of(table, (int64_t)slot); /* of a free slot: nothing hangs on it */
            tg_kept_free(&its->kept);
            free(its->rest);
        }
    tg_arena_free(table->arena);
    for (size_t i = 0; i < table->n_versions; i++) free((uint8_t *)table->versions[i].data);
    free(table->versions);
    tg_batches_free(table);
    free(table->key);
    free(table->log);
    free(table);
}

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

/* ---- What changed, and who may go ---- */

void tg_drop(tg_table *table, int64_t slot) {
    tg_session *its = tg_session_of(table, slot);
    tg_set_status(table, its, TG_UNKNOWN);
    tg_drop_kept(table, its);
    tg_drop_rest(table, its);
    its->ticket = 0; /* for the log, which may still name the slot */
    tg_arena_drop(table->arena, slot);
}

int tg_reserve_changes(tg_table *table, size_t n) {
    if (table->log_end + n <= table->log_capacity) return 0;
    /* First without what is durable, and without changes that a later one of the session follows. */
    size_t end = 0;
    for (size_t i = table->log_start; i < table->log_end; i++)
        if (tg_session_of(table, table->log[i].slot)->ticket == table->log[i].ticket)
            table->log[end++] = table->log[i];
    table->log_start = 0;
    table->log_end = end;
    return tg_grow(&table->log, &table->log_capacity, 2 * (end + n), sizeof *table->log);
}

int tg_table_delete(tg_table *table, int64_t slot, double now, tg_group *group, uint64_t ticket) {
    tg_session *its = tg_session_of(table, slot);
    const tg_status status = tg_status_at(table, its, now);
    if (status == TG_UNKNOWN) return 0;
    if (status == TG_DELETED) return 1;
    if (tg_reserve_changes(table, 1)) return -1;
    const tg_session before = *its;
    if (status == TG_DAMAGED) its->time = its->created = now;
    its->updated = now;
    its->kept = (tg_kept){0};
    if (!its->foreign) its->rest = NULL;
    its->status = TG_DELETED;
    if (group && tg_put_record(table, group, slot)) {
        *its = before;
        return -1;
    }
    tg_session *gone = &(tg_session){.kept = before.kept, .rest = its->rest ? NULL : before.rest};
    tg_drop_kept(table, gone);
    tg_drop_rest(table, gone);
    table->live -= before.status == TG_LIVE;
    tg_note_change(table, slot, ticket);
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
            if (tg_session_of(table, slots[i])->ticket > durable) continue;
            tg_drop(table, slots[i]);
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
        const tg_change last = table->log[table->log_end - 1];
        if (last.ticket <= durable) break;
        if (tg_session_of(table, last.slot)->ticket <= durable) continue; /* dropped already */
        tg_drop(table, last.slot);
        dropped++;
    }
    return dropped;
}

tg_view tg_table_view(const tg_table *table, int64_t slot, double now) {
    const tg_session *its = tg_session_of(table, slot);
    tg_view view = {.status = tg_status_at(table, its, now),
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
