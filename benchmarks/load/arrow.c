/* Bulk as Arrow IPC streams.
 *
 * Requests are made from a template that the bench wrote with pyarrow: one record batch of a fixed
 * number of rows, whose ids have a fixed width. Only what its buffers hold changes. Of the answers
 * the flatbuffers are read as far as needed: how many rows a record batch has, and where the buffers
 * of `session`, `seq` and `error_code` lie.
 */
#define _GNU_SOURCE
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL (1u << 16)

static struct {
    uint32_t rows;
    size_t session, seq, fields[TG_FIELDS], size;
    char *bytes;
} template;
static double *pool; /* numbers; a column takes a run of them from a random place */

static void load_template(void) {
    FILE *file = tg_options.template_file ? fopen(tg_options.template_file, "rb") : NULL;
    if (file == NULL) tg_die("--template FILE is needed, and has to be there");
    bool good = fscanf(file, "tidegate-arrow %" SCNu32 " %zu %zu", &template.rows, &template.session,
                       &template.seq) == 3;
    for (int i = 0; i < TG_FIELDS; i++) good = good && fscanf(file, " %zu", &template.fields[i]) == 1;
    good = good && fscanf(file, " %zu", &template.size) == 1 && fgetc(file) == '\n';
    if (!good || template.rows != tg_options.events || template.size < template.rows * 100ull)
        tg_die("%s is no template of %u rows", tg_options.template_file, tg_options.events);
    template.bytes = malloc(template.size);
    pool = malloc((POOL + template.rows) * sizeof *pool);
    if (template.bytes == NULL || pool == NULL) tg_die("no memory");
    if (fread(template.bytes, 1, template.size, file) != template.size) tg_die("the template is cut");
    fclose(file);
    for (uint32_t i = 0; i < POOL + template.rows; i++) pool[i] = tg_normal();
}

static void begin(struct tg_connection *connection) {
    if (template.bytes == NULL) load_template();
    connection->ready = true;
}

static void send(struct tg_connection *connection, struct tg_flight *flight) {
    char path[256];
    snprintf(path, sizeof path, "/v1/models/%s/events", tg_options.model);
    tg_http_head(&connection->out, path, "application/vnd.apache.arrow.stream", template.size);
    char *to = tg_room(&connection->out, template.size);
    memcpy(to, template.bytes, template.size);
    for (uint32_t i = 0; i < template.rows; i++) {
        int64_t seq = flight->items[i].seq;
        tg_session_name(to + template.session + (size_t)i * TG_NAME_BYTES, flight->items[i].session);
        memcpy(to + template.seq + 8ull * i, &seq, 8);
    }
    for (int field = 0; field < TG_FIELDS; field++)
        memcpy(to + template.fields[field], pool + tg_draw() % POOL, template.rows * sizeof *pool);
    connection->out.end += template.size;
}

/* ---- answers ---- */

/* Bytes that are read with their bounds; a read outside gives 0 and is remembered. */
struct view {
    const uint8_t *data;
    size_t size;
    bool bad;
};

static uint64_t get(struct view *view, size_t at, size_t bytes) {
    uint64_t value = 0;
    if (at > view->size || bytes > view->size - at) {
        view->bad = true;
        return 0;
    }
    memcpy(&value, view->data + at, bytes); /* little-endian, as the machine */
    return value;
}

/* Where a table's field is, or 0. */
static size_t field_of(struct view *view, size_t table, unsigned field) {
    size_t vtable = table - (size_t)(int64_t)(int32_t)get(view, table, 4);
    if (4 + 2 * field >= get(view, vtable, 2)) return 0;
    size_t offset = get(view, vtable + 4 + 2 * field, 2);
    return offset ? table + offset : 0;
}

static size_t follow(struct view *view, size_t at) { return at ? at + get(view, at, 4) : 0; }

/* Where a column's buffers and node are in a record batch; -1: there is none. */
struct column {
    int buffer, node;
};
struct columns {
    struct column session, seq, error;
    bool names; /* session is plain utf8: checked */
};

static void read_schema(struct view *view, size_t schema, struct columns *columns) {
    size_t fields = follow(view, field_of(view, schema, 1));
    uint64_t count = get(view, fields, 4);
    int buffer = 0;
    for (int i = 0; (uint64_t)i < count && !view->bad; i++) {
        size_t field = follow(view, fields + 4 + 4 * (size_t)i);
        size_t name = follow(view, field_of(view, field, 0)), type_at = field_of(view, field, 2);
        size_t length = get(view, name, 4);
        uint64_t type = type_at ? get(view, type_at, 1) : 0;
        bool dictionary = field_of(view, field, 4) != 0;
        if (view->bad || length > view->size - name - 4) break;
        const char *text = (const char *)view->data + name + 4;
        struct column here = {buffer, i};
        if (length == 7 && !memcmp(text, "session", 7)) {
            columns->session = here;
            columns->names = type == 5 && !dictionary;
        }
        if (length == 3 && !memcmp(text, "seq", 3)) columns->seq = here;
        if (length == 10 && !memcmp(text, "error_code", 10)) columns->error = here;
        bool text_type = type == 4 || type == 5 || type == 19 || type == 20;
        bool flat = type != 0 && type < 22 && (type < 12 || type > 17) && type != 21;
        view->bad = view->bad || !(flat || dictionary);
        buffer += type == 1 ? 0 : text_type && !dictionary ? 3 : 2;
    }
}

static struct view buffer_of(struct view *view, size_t buffers, int number, const uint8_t *body,
                             size_t body_size) {
    struct view found = {NULL, 0, false};
    size_t at = buffers + 4 + 16 * (size_t)number;
    uint64_t offset = get(view, at, 8), size = get(view, at + 8, 8);
    if ((uint64_t)number >= get(view, buffers, 4) || offset > body_size || size > body_size - offset)
        view->bad = true;
    else
        found = (struct view){body + offset, size, false};
    return found;
}

static void read_rows(struct view *view, size_t batch, const struct columns *columns,
                      const uint8_t *body, size_t body_size, struct tg_flight *flight) {
    size_t length_at = field_of(view, batch, 0);
    size_t buffers = follow(view, field_of(view, batch, 2));
    uint64_t rows = length_at ? get(view, length_at, 8) : 0;
    if (field_of(view, batch, 3)) view->bad = true; /* compressed: nobody asked for it */
    struct view seqs = buffer_of(view, buffers, columns->seq.buffer + 1, body, body_size);
    struct view valid = {0}, offsets = {0}, codes = {0}, names = {0};
    if (columns->error.buffer >= 0) {
        valid = buffer_of(view, buffers, columns->error.buffer, body, body_size);
        offsets = buffer_of(view, buffers, columns->error.buffer + 1, body, body_size);
        codes = buffer_of(view, buffers, columns->error.buffer + 2, body, body_size);
    }
    if (columns->names) names = buffer_of(view, buffers, columns->session.buffer + 2, body, body_size);
    if (view->bad || rows > flight->count - flight->answered) {
        view->bad = true;
        return;
    }
    bool fixed = names.size == rows * TG_NAME_BYTES;
    for (uint64_t row = 0; row < rows; row++) {
        char name[TG_NAME_BYTES];
        tg_session_name(name, flight->items[flight->answered].session);
        /* No bitmap: all rows have a code if there are codes at all. */
        bool failed = valid.size ? get(&valid, row / 8, 1) >> row % 8 & 1 : codes.size > 0;
        if (failed) {
            size_t from = get(&offsets, 4 * row, 4), to = get(&offsets, 4 * row + 4, 4);
            char kind[40] = "error";
            if (from < to && to <= codes.size && to - from < sizeof kind)
                snprintf(kind, sizeof kind, "%.*s", (int)(to - from), codes.data + from);
            tg_fail(flight, kind, "", 0);
        } else if (fixed && memcmp(names.data + row * TG_NAME_BYTES, name, TG_NAME_BYTES) != 0) {
            tg_fail(flight, "wrong_session", "", 0);
        } else {
            tg_check_seq(flight, (int64_t)get(&seqs, 8 * row, 8));
        }
    }
}

static bool read_stream(struct tg_buffer *body, struct tg_flight *flight) {
    const uint8_t *data = (const uint8_t *)tg_front(body);
    size_t held = tg_held(body), at = 0;
    struct columns columns = {{-1, -1}, {-1, -1}, {-1, -1}, false};
    while (held - at >= 8) {
        uint32_t marker, head_size;
        memcpy(&marker, data + at, 4);
        memcpy(&head_size, data + at + 4, 4);
        at += 8;
        if (marker != 0xffffffffu || head_size > held - at) return false;
        if (head_size == 0) return true;
        struct view view = {data + at, head_size, false};
        size_t message = get(&view, 0, 4), kind_at = field_of(&view, message, 1);
        size_t size_at = field_of(&view, message, 3);
        size_t header = follow(&view, field_of(&view, message, 2));
        uint64_t kind = kind_at ? get(&view, kind_at, 1) : 0;
        uint64_t body_size = size_at ? get(&view, size_at, 8) : 0;
        at += head_size;
        if (view.bad || body_size > held - at) return false;
        if (kind == 1) read_schema(&view, header, &columns);
        if (kind == 3) {
            if (columns.seq.buffer < 0) return false;
            read_rows(&view, header, &columns, data + at, body_size, flight);
        }
        if (view.bad) return false;
        at += body_size;
    }
    return at == held; /* a stream may end with its last message */
}

static bool receive(struct tg_connection *connection) {
    struct tg_buffer *body = &connection->body;
    int got;
    while ((got = tg_http_decode(&connection->http, &connection->in, body)) == 1) {
        struct tg_flight *flight = tg_oldest(connection);
        if (flight == NULL) return false;
        if (connection->http.status != 200) {
            tg_fail_rest(flight, "status", tg_front(body), tg_held(body));
        } else {
            bool good = read_stream(body, flight);
            tg_fail_rest(flight, good ? "no_answer" : "bad_stream", "", 0);
        }
        body->start = body->end = 0;
        tg_landed(connection);
    }
    return got == 0;
}

const struct tg_transport tg_arrow = {"arrow", begin, send, receive, NULL};
