#define _GNU_SOURCE
#include "load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES 256

struct tg_errors tg_errors;

/* A member of an event with its comma, `"x3":-0.512,`; copied as 16 bytes whatever its length. */
static struct {
    char text[16];
    uint8_t length;
} members[TG_FIELDS][VALUES];

static uint32_t *next_seq; /* by session: what is to be sent next */
static bool *taken;        /* by session: it is on the way; only where connections share sessions */
static uint64_t state[2];

uint64_t tg_draw(void) { /* xoroshiro128+ (Blackman and Vigna) */
    uint64_t a = state[0], b = state[1], sum = a + b;
    b ^= a;
    state[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
    state[1] = b << 37 | b >> 27;
    return sum;
}

double tg_normal(void) { /* Box and Muller */
    double u = ((double)(tg_draw() >> 11) + 1.0) * 0x1p-53;
    double v = (double)(tg_draw() >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void tg_events_begin(void) {
    state[0] = tg_options.seed * 0x9e3779b97f4a7c15ull + 1;
    state[1] = tg_options.seed ^ 0xbf58476d1ce4e5b9ull;
    for (int i = 0; i < 16; i++) tg_draw();
    next_seq = malloc(tg_options.sessions * sizeof *next_seq);
    if (next_seq == NULL) tg_die("no memory for %u sessions", tg_options.sessions);
    for (uint32_t i = 0; i < tg_options.sessions; i++) next_seq[i] = 1;
    FILE *file = tg_options.seqs ? fopen(tg_options.seqs, "rb") : NULL;
    if (file != NULL) {
        if (fread(next_seq, sizeof *next_seq, tg_options.sessions, file) != tg_options.sessions)
            tg_die("%s has not the seqs of %u sessions", tg_options.seqs, tg_options.sessions);
        fclose(file);
    }
    if (tg_options.zipf > 0) {
        tg_zipf_begin();
        taken = calloc(tg_options.sessions, sizeof *taken);
        if (taken == NULL) tg_die("no memory for %u sessions", tg_options.sessions);
    }
    for (int field = 0; field < TG_FIELDS; field++) {
        for (int value = 0; value < VALUES; value++) {
            double number = fmax(-9.0, fmin(9.0, tg_normal()));
            int length = snprintf(members[field][value].text, 16, "\"x%d\":%.3f,", field, number);
            members[field][value].length = (uint8_t)length;
        }
    }
}

/* The next load can go on with these sessions. */
void tg_events_end(void) {
    if (tg_options.seqs == NULL) return;
    FILE *file = fopen(tg_options.seqs, "wb");
    if (file == NULL || fwrite(next_seq, sizeof *next_seq, tg_options.sessions, file) !=
                            tg_options.sessions || fclose(file) != 0)
        tg_die("cannot write %s", tg_options.seqs);
}

void tg_session_name(char *name, uint32_t session) {
    name[0] = tg_options.prefix;
    for (int place = 8; place >= 1; place--, session /= 10) name[place] = (char)('0' + session % 10);
}

static char *write_text(char *to, const char *text, size_t length) {
    memcpy(to, text, length);
    return to + length;
}
#define WRITE(to, literal) write_text(to, literal, sizeof(literal) - 1)

static char *write_number(char *to, uint32_t number) {
    char digits[10];
    int count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) *to++ = digits[--count];
    return to;
}

char *tg_write_event(char *to, struct tg_item item, bool named) {
    if (named) {
        to = WRITE(to, "{\"session\":\"");
        tg_session_name(to, item.session);
        to = WRITE(to + TG_NAME_BYTES, "\",\"seq\":");
    } else {
        to = WRITE(to, "{\"seq\":");
    }
    to = WRITE(write_number(to, item.seq), ",\"event\":{");
    uint64_t bits = 0;
    for (int field = 0; field < TG_FIELDS; field++, bits >>= 8) {
        if (field % 8 == 0) bits = tg_draw();
        size_t value = bits % VALUES;
        memcpy(to, members[field][value].text, 16);
        to += members[field][value].length;
    }
    return WRITE(to - 1, "}}"); /* over the last comma */
}

void tg_take_sessions(struct tg_connection *connection, struct tg_flight *flight) {
    uint32_t first = connection->number, step = tg_options.connections;
    uint32_t owned = (tg_options.sessions - first + step - 1) / step;
    for (uint32_t i = 0; i < flight->count; i++) {
        uint32_t session;
        if (connection->filled < owned) session = first + connection->filled++ * step;
        else if (tg_options.zipf > 0) session = tg_draw_zipf();
        else session = first + (uint32_t)(((tg_draw() >> 32) * owned) >> 32) * step;
        flight->items[i] = (struct tg_item){session, 0};
    }
}

bool tg_take_seqs(struct tg_flight *flight) {
    struct tg_item *end = flight->items + flight->count;
    if (taken != NULL) {
        for (struct tg_item *item = flight->items; item < end; item++)
            if (taken[item->session]) return false;
        for (struct tg_item *item = flight->items; item < end; item++) taken[item->session] = true;
    }
    for (struct tg_item *item = flight->items; item < end; item++)
        item->seq = next_seq[item->session]++;
    return true;
}

void tg_release_sessions(const struct tg_flight *flight) {
    if (taken == NULL || flight->items[0].seq == 0) return; /* it never had them */
    for (uint32_t i = 0; i < flight->count; i++) taken[flight->items[i].session] = false;
}

static void count_error(const char *kind, size_t kind_length, const char *text, size_t length) {
    if (tg_errors.total++ == 0)
        snprintf(tg_errors.first, sizeof tg_errors.first, "%.*s: %.*s", (int)kind_length, kind,
                 (int)(length < 300 ? length : 300), text);
    for (int i = 0; i < TG_KINDS; i++) {
        char *known = tg_errors.kinds[i];
        if (*known == 0)
            snprintf(known, sizeof tg_errors.kinds[i], "%.*s", (int)kind_length, kind);
        if (i == TG_KINDS - 1 || (strncmp(known, kind, kind_length) == 0 && known[kind_length] == 0)) {
            tg_errors.counts[i]++;
            return;
        }
    }
}

void tg_count_error(const char *kind) { count_error(kind, strlen(kind), "", 0); }

void tg_fail(struct tg_flight *flight, const char *kind, const char *text, size_t length) {
    static const char code[] = "\"code\":\"";
    size_t kind_length = strlen(kind);
    const char *found = length ? memmem(text, length, code, sizeof code - 1) : NULL;
    if (found != NULL) {
        found += sizeof code - 1;
        const char *quote = memchr(found, '"', (size_t)(text + length - found));
        if (quote != NULL && quote - found < 40) kind = found, kind_length = (size_t)(quote - found);
    }
    count_error(kind, kind_length, text, length);
    struct tg_item item = flight->items[flight->answered++];
    flight->failed++;
    if (item.seq && next_seq[item.session] > item.seq) next_seq[item.session] = item.seq; /* again */
}

void tg_fail_rest(struct tg_flight *flight, const char *kind, const char *text, size_t length) {
    while (flight->answered < flight->count) tg_fail(flight, kind, text, length);
}

void tg_check_seq(struct tg_flight *flight, int64_t seq) {
    if (seq == flight->items[flight->answered].seq)
        flight->answered++;
    else
        tg_fail(flight, "wrong_seq", "", 0);
}

/* Finds a member of an object's first words and returns where its value begins. */
static const char *value_of(const char *object, size_t length, const char *name, size_t name_length) {
    const char *found = memmem(object, length, name, name_length);
    if (found == NULL) return NULL;
    found += name_length;
    while (found < object + length && *found == ' ') found++;
    return found;
}
#define VALUE(object, length, name) value_of(object, length, name, sizeof(name) - 1)

void tg_check_answer(struct tg_flight *flight, const char *object, size_t length) {
    const char *end = object + length;
    if (VALUE(object, length, "\"error\":") != NULL) {
        tg_fail(flight, "error", object, length);
        return;
    }
    struct tg_item item = flight->items[flight->answered];
    const char *session = VALUE(object, length, "\"session\":");
    if (session != NULL) { /* an echo may leave it out */
        char name[TG_NAME_BYTES + 2] = "\"";
        tg_session_name(name + 1, item.session);
        name[TG_NAME_BYTES + 1] = '"';
        if (end - session < (ptrdiff_t)sizeof name || memcmp(session, name, sizeof name) != 0) {
            tg_fail(flight, "wrong_session", object, length);
            return;
        }
    }
    const char *seq = VALUE(object, length, "\"seq\":");
    uint64_t number = 0;
    while (seq != NULL && seq < end && *seq >= '0' && *seq <= '9') {
        number = number * 10 + (uint64_t)(*seq++ - '0');
    }
    if (seq == NULL || number != item.seq)
        tg_fail(flight, "wrong_seq", object, length);
    else
        flight->answered++;
}
