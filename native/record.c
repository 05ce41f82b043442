#include "record.h"

#include <string.h>

#include "crc32c.h"
#include "utf8.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records are little-endian, and so is this code"
#endif

#define FORMAT 1
#define HEADER_SIZE 16
#define SECTION_HEADER_SIZE 8
#define SESSION_SIZE 32
#define HIDDEN_AT 64
#define CHECKSUM_SIZE 4
#define ANSWERS_HEAD_SIZE 8
#define ANSWER_ROW_SIZE 32
#define N_STATUSES 4
#define N_SECTIONS 8

/* Sections; the types that format 1 knows. */
enum {
    TG_SECTION_SESSION = 1,
    TG_SECTION_HIDDEN,
    TG_SECTION_STATUS,
    TG_SECTION_MODEL,
    TG_SECTION_ENCODER,
    TG_SECTION_ANSWER_STATE,
    TG_SECTION_ANSWERS,
    TG_SECTION_EVENTS
};

static const uint8_t magic[4] = {'t', 'g', 'R', 'C'};

/* The data of an answers or events section without any. */
static const uint8_t no_answers[ANSWERS_HEAD_SIZE], no_events[4];

static size_t padded(size_t size) { return (size + 7) & ~(size_t)7; }

static uint16_t read_u16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t read_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t read_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* ---- Encoding ---- */

static tg_span or_else(tg_span given, const uint8_t *data, size_t size) {
    return given.size ? given : (tg_span){data, size};
}

static tg_span answers_of(const tg_record *record) {
    return or_else(record->answers, no_answers, sizeof no_answers);
}

static tg_span events_of(const tg_record *record) {
    return or_else(record->events, no_events, sizeof no_events);
}

static size_t hidden_bytes(const tg_arena *arena, const tg_record *record) {
    return record->stateless ? 0 : arena->hidden_size * sizeof(float);
}

static size_t encoder_bytes(const tg_arena *arena, const tg_record *record) {
    return record->stateless ? 0 : arena->encoder_size * sizeof(double);
}

size_t tg_record_size(const tg_arena *arena, const tg_record *record) {
    return HIDDEN_AT + padded(hidden_bytes(arena, record)) + 6 * SECTION_HEADER_SIZE +
           padded(sizeof record->status) + padded(TG_FINGERPRINT_SIZE + record->model_version.size) +
           encoder_bytes(arena, record) + padded(record->answer_state.size) +
           padded(answers_of(record).size) + padded(events_of(record).size) + record->others.size +
           CHECKSUM_SIZE;
}

static uint8_t *put(uint8_t *at, const void *data, size_t size) {
    if (size) memcpy(at, data, size);
    return at + size;
}

static uint8_t *put_head(uint8_t *at, uint32_t type, size_t size) {
    const uint32_t head[2] = {type, (uint32_t)size};
    return put(at, head, sizeof head);
}

static uint8_t *put_padding(uint8_t *at, size_t size) {
    static const uint8_t zeros[8];
    return put(at, zeros, padded(size) - size);
}

static uint8_t *put_section(uint8_t *at, uint32_t type, const void *data, size_t size) {
    return put_padding(put(put_head(at, type, size), data, size), size);
}

static uint8_t *put_span(uint8_t *at, uint32_t type, tg_span span) {
    return put_section(at, type, span.data, span.size);
}

void tg_record_encode(const tg_arena *arena, const uint8_t *fingerprint, int64_t slot,
                      const tg_record *record, uint8_t *out) {
    const uint16_t head[2] = {FORMAT, (uint16_t)(N_SECTIONS + record->n_others)};
    const uint64_t total = tg_record_size(arena, record);
    const double times[3] = {record->time, record->created, record->updated};
    const size_t model_size = TG_FINGERPRINT_SIZE + record->model_version.size;

    uint8_t *at = put(out, magic, sizeof magic);
    at = put(at, head, sizeof head);
    at = put(at, &total, sizeof total);
    at = put_head(at, TG_SECTION_SESSION, SESSION_SIZE);
    at = put(at, &record->seq, sizeof record->seq);
    at = put(at, times, sizeof times);
    at = put_section(at, TG_SECTION_HIDDEN, tg_arena_hidden(arena, slot), hidden_bytes(arena, record));
    at = put_section(at, TG_SECTION_STATUS, &record->status, sizeof record->status);
    at = put_head(at, TG_SECTION_MODEL, model_size);
    at = put(at, fingerprint, TG_FINGERPRINT_SIZE);
    at = put(at, record->model_version.data, record->model_version.size);
    at = put_padding(at, model_size);
    at = put_section(at, TG_SECTION_ENCODER, tg_arena_encoder(arena, slot),
                     encoder_bytes(arena, record));
    at = put_span(at, TG_SECTION_ANSWER_STATE, record->answer_state);
    at = put_span(at, TG_SECTION_ANSWERS, answers_of(record));
    at = put_span(at, TG_SECTION_EVENTS, events_of(record));
    at = put(at, record->others.data, record->others.size);
    const uint32_t checksum = tg_crc32c(0, out, (size_t)(at - out));
    put(at, &checksum, sizeof checksum);
}

/* ---- Decoding: the checks of codec.py in its order, so that the same one fails first ---- */

static tg_record_code check_header(tg_span data) {
    if (data.size < HEADER_SIZE + CHECKSUM_SIZE) return TG_RECORD_TRUNCATED;
    if (memcmp(data.data, magic, sizeof magic) != 0) return TG_RECORD_MAGIC;
    const uint16_t format = read_u16(data.data + 4);
    if (format > FORMAT) return TG_RECORD_VERSION;
    if (format < 1) return TG_RECORD_DAMAGED;
    const uint64_t total = read_u64(data.data + 8);
    if (data.size != total) return data.size < total ? TG_RECORD_TRUNCATED : TG_RECORD_TRAILING;
    const size_t body = data.size - CHECKSUM_SIZE;
    if (tg_crc32c(0, data.data, body) != read_u32(data.data + body)) return TG_RECORD_CHECKSUM;
    return TG_RECORD_OK;
}

/* Finds the known sections by type, and counts the others. */
static tg_record_code find_sections(tg_span data, tg_span known[N_SECTIONS + 1], size_t *others) {
    const size_t count = read_u16(data.data + 6), limit = data.size - CHECKSUM_SIZE;
    size_t at = HEADER_SIZE;
    for (size_t i = 0; i < count; i++) {
        const size_t start = at + SECTION_HEADER_SIZE;
        if (start > limit) return TG_RECORD_DAMAGED;
        const uint32_t type = read_u32(data.data + at);
        const size_t size = read_u32(data.data + at + 4);
        at = start + padded(size);
        if (at > limit) return TG_RECORD_DAMAGED;
        for (size_t k = start + size; k < at; k++)
            if (data.data[k]) return TG_RECORD_DAMAGED;
        if (type < 1 || type > N_SECTIONS) {
            ++*others;
        } else if (known[type].data) {
            return TG_RECORD_DAMAGED;
        } else {
            known[type] = (tg_span){data.data + start, size};
        }
    }
    if (at != limit) return TG_RECORD_DAMAGED;
    for (uint32_t type = 1; type <= N_SECTIONS; type++)
        if (!known[type].data) return TG_RECORD_DAMAGED;
    if (known[TG_SECTION_SESSION].size != SESSION_SIZE) return TG_RECORD_DAMAGED;
    if ((size_t)(known[TG_SECTION_HIDDEN].data - data.data) % HIDDEN_AT) return TG_RECORD_DAMAGED;
    return TG_RECORD_OK;
}

static int are_answers(tg_span section) {
    if (section.size < ANSWERS_HEAD_SIZE) return 0;
    const size_t count = read_u32(section.data), rows = section.size - ANSWERS_HEAD_SIZE;
    if (count > rows / ANSWER_ROW_SIZE) return 0;
    uint32_t reserved = read_u32(section.data + 4);
    const uint8_t *row = section.data + ANSWERS_HEAD_SIZE;
    const uint8_t *at = row + count * ANSWER_ROW_SIZE, *end = section.data + section.size;
    for (size_t i = 0; i < count; i++, row += ANSWER_ROW_SIZE) {
        const uint32_t length = read_u32(row + 24), more = read_u32(row + 28);
        const size_t version = more >> 8;
        if ((size_t)(end - at) < version || !tg_is_utf8(at, version)) return 0;
        at += version;
        if ((size_t)(end - at) < length) return 0;
        at += length;
        reserved |= more & 0xfe;
    }
    return at == end && !reserved;
}

static int are_events(tg_span section) {
    if (section.size < sizeof(uint32_t)) return 0;
    const size_t count = read_u32(section.data), room = section.size / sizeof(uint32_t) - 1;
    if (count > room) return 0;
    uint64_t size = (1 + count) * sizeof(uint32_t); /* 2^32 lengths below 2^32: no overflow */
    for (size_t i = 1; i <= count; i++) size += read_u32(section.data + i * sizeof(uint32_t));
    return size == section.size;
}

static tg_record_code decode(const tg_arena *arena, const uint8_t *fingerprint, tg_span data,
                             tg_decoded *decoded) {
    const tg_record_code code = check_header(data);
    if (code != TG_RECORD_OK) return code;
    tg_span known[N_SECTIONS + 1] = {{NULL, 0}};
    size_t others = 0;
    if (find_sections(data, known, &others) != TG_RECORD_OK) return TG_RECORD_DAMAGED;

    const tg_span model = known[TG_SECTION_MODEL], status = known[TG_SECTION_STATUS];
    if (model.size < TG_FINGERPRINT_SIZE) return TG_RECORD_DAMAGED;
    const tg_span version = {model.data + TG_FINGERPRINT_SIZE, model.size - TG_FINGERPRINT_SIZE};
    if (!tg_is_utf8(version.data, version.size)) return TG_RECORD_DAMAGED;
    if (status.size != sizeof(uint32_t) || read_u32(status.data) >= N_STATUSES)
        return TG_RECORD_DAMAGED;
    decoded->fingerprint = model.data;
    decoded->n_others = (uint16_t)others;
    decoded->encoder = known[TG_SECTION_ENCODER];
    if (decoded->encoder.size % sizeof(double)) return TG_RECORD_DAMAGED;
    decoded->hidden = known[TG_SECTION_HIDDEN];
    if (decoded->hidden.size % sizeof(float)) return TG_RECORD_DAMAGED;
    if (!are_answers(known[TG_SECTION_ANSWERS])) return TG_RECORD_DAMAGED;
    if (!are_events(known[TG_SECTION_EVENTS])) return TG_RECORD_DAMAGED;

    tg_record *record = &decoded->record;
    const uint8_t *session = known[TG_SECTION_SESSION].data;
    record->seq = read_u64(session);
    memcpy(&record->time, session + 8, sizeof(double));
    memcpy(&record->created, session + 16, sizeof(double));
    memcpy(&record->updated, session + 24, sizeof(double));
    record->status = read_u32(status.data);
    record->model_version = version;
    record->answer_state = known[TG_SECTION_ANSWER_STATE];
    record->answers = known[TG_SECTION_ANSWERS];
    record->events = known[TG_SECTION_EVENTS];

    if (memcmp(model.data, fingerprint, TG_FINGERPRINT_SIZE) != 0) return TG_RECORD_OTHER_MODEL;
    if (decoded->hidden.size != arena->hidden_size * sizeof(float) ||
        decoded->encoder.size != arena->encoder_size * sizeof(double))
        return TG_RECORD_OTHER_SIZE;
    return TG_RECORD_OK;
}

tg_decoded tg_record_decode(const tg_arena *arena, const uint8_t *fingerprint, tg_span data) {
    tg_decoded decoded = {0};
    decoded.code = decode(arena, fingerprint, data, &decoded);
    return decoded;
}

size_t tg_record_others(tg_span data, uint8_t *out) {
    size_t count = read_u16(data.data + 6), at = HEADER_SIZE, size = 0;
    for (; count > 0; count--) {
        const uint32_t type = read_u32(data.data + at);
        const size_t whole = SECTION_HEADER_SIZE + padded(read_u32(data.data + at + 4));
        if (type < 1 || type > N_SECTIONS) {
            if (out) memcpy(out + size, data.data + at, whole);
            size += whole;
        }
        at += whole;
    }
    return size;
}

void tg_record_load(const tg_arena *arena, const tg_decoded *decoded, int64_t slot) {
    put((uint8_t *)tg_arena_hidden(arena, slot), decoded->hidden.data, decoded->hidden.size);
    put((uint8_t *)tg_arena_encoder(arena, slot), decoded->encoder.data, decoded->encoder.size);
}
