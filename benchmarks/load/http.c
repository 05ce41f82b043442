#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD, LENGTH, SIZE, CHUNK, CHUNK_END, TRAILER };

const char *tg_http_header(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *line = head; line < end;) {
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (next == NULL) return NULL;
        if ((size_t)(next - line) > length && line[length] == ':' && !strncasecmp(line, name, length)) {
            const char *value = line + length + 1;
            while (*value == ' ') value++;
            return value;
        }
        line = next + 2;
    }
    return NULL;
}

static int move(struct tg_http *http, struct tg_buffer *in, struct tg_buffer *body) {
    size_t count = tg_held(in) < http->left ? tg_held(in) : (size_t)http->left;
    tg_append(body, tg_front(in), count);
    in->start += count;
    http->left -= count;
    return http->left == 0;
}

int tg_http_decode(struct tg_http *http, struct tg_buffer *in, struct tg_buffer *body) {
    for (;;) {
        char *front = tg_front(in);
        char *line_end = NULL;
        if (http->state == SIZE || http->state == CHUNK_END || http->state == TRAILER) {
            line_end = tg_held(in) ? memmem(front, tg_held(in), "\r\n", 2) : NULL;
            if (line_end == NULL) return 0;
        }
        switch (http->state) {
        case HEAD: {
            char *end = tg_held(in) ? memmem(front, tg_held(in), "\r\n\r\n", 4) : NULL;
            if (end == NULL) return 0;
            bool response = end - front >= 12 && memcmp(front, "HTTP/1.1 ", 9) == 0;
            http->status = response ? atoi(front + 9) : 0;
            const char *length = tg_http_header(front, end + 2, "content-length");
            const char *coding = tg_http_header(front, end + 2, "transfer-encoding");
            in->start += (size_t)(end + 4 - front);
            if (http->status == 101) return 1; /* what follows is no HTTP */
            http->chunked = coding != NULL && !strncasecmp(coding, "chunked", 7);
            if (http->chunked) {
                http->state = SIZE;
            } else {
                http->left = length ? strtoull(length, NULL, 10) : 0;
                http->state = LENGTH;
            }
            break;
        }
        case LENGTH:
            if (!move(http, in, body)) return 0;
            http->state = HEAD;
            return 1;
        case SIZE:
            http->left = strtoull(front, NULL, 16);
            in->start += (size_t)(line_end + 2 - front);
            http->state = http->left ? CHUNK : TRAILER;
            break;
        case CHUNK:
            if (!move(http, in, body)) return 0;
            http->state = CHUNK_END;
            break;
        case CHUNK_END:
            if (line_end != front) return -1;
            in->start += 2;
            http->state = SIZE;
            break;
        default: /* TRAILER */
            in->start += (size_t)(line_end + 2 - front);
            if (line_end == front) {
                http->state = HEAD;
                return 1;
            }
        }
    }
}

void tg_http_head(struct tg_buffer *out, const char *path, const char *type, size_t length) {
    char head[512], coding[48] = "Transfer-Encoding: chunked";
    if (length != SIZE_MAX) snprintf(coding, sizeof coding, "Content-Length: %zu", length);
    int bytes = snprintf(head, sizeof head,
                         "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n%s\r\n\r\n", path,
                         tg_options.host, type, coding);
    if (bytes < 0 || (size_t)bytes >= sizeof head) tg_die("the path is too long");
    tg_append(out, head, (size_t)bytes);
}

static void begin(struct tg_connection *connection) { connection->ready = true; }

/* ---- one event a request ---- */

static void send_single(struct tg_connection *connection, struct tg_flight *flight) {
    char path[256], body[TG_EVENT_BYTES], name[TG_NAME_BYTES];
    bool named = tg_options.path != NULL; /* one path for all: the session is in the body */
    size_t length = (size_t)(tg_write_event(body, flight->items[0], named) - body);
    if (!named) {
        tg_session_name(name, flight->items[0].session);
        snprintf(path, sizeof path, "/v1/models/%s/sessions/%.*s/events", tg_options.model,
                 TG_NAME_BYTES, name);
    }
    tg_http_head(&connection->out, named ? tg_options.path : path, "application/json", length);
    tg_append(&connection->out, body, length);
}

static bool receive_single(struct tg_connection *connection) {
    int got;
    while ((got = tg_http_decode(&connection->http, &connection->in, &connection->body)) == 1) {
        struct tg_flight *flight = tg_oldest(connection);
        if (flight == NULL) return false;
        if (connection->http.status == 200)
            tg_check_answer(flight, tg_front(&connection->body), tg_held(&connection->body));
        else
            tg_fail(flight, "status", tg_front(&connection->body), tg_held(&connection->body));
        connection->body.start = connection->body.end = 0;
        tg_landed(connection);
    }
    return got == 0;
}

const struct tg_transport tg_http_single = {"http", begin, send_single, receive_single, NULL};

/* ---- lines of JSON: a request of many, or one request that goes on, a chunk of many at a time ---- */

static void bulk_path(char *path, size_t size) {
    snprintf(path, size, "/v1/models/%s/events", tg_options.model);
}

static void send_lines(struct tg_connection *connection, struct tg_flight *flight) {
    static struct tg_buffer lines;
    lines.start = lines.end = 0;
    for (uint32_t i = 0; i < flight->count; i++) {
        char *to = tg_room(&lines, TG_EVENT_BYTES);
        char *end = tg_write_event(to, flight->items[i], true);
        *end++ = '\n';
        lines.end += (size_t)(end - to);
    }
    char path[256];
    bulk_path(path, sizeof path);
    if (!tg_options.stream) {
        tg_http_head(&connection->out, path, "application/x-ndjson", tg_held(&lines));
        tg_append(&connection->out, tg_front(&lines), tg_held(&lines));
        return;
    }
    char size[24];
    if (!connection->begun) tg_http_head(&connection->out, path, "application/x-ndjson", SIZE_MAX);
    connection->begun = true;
    snprintf(size, sizeof size, "%zx\r\n", tg_held(&lines));
    tg_append_text(&connection->out, size);
    tg_append(&connection->out, tg_front(&lines), tg_held(&lines));
    tg_append_text(&connection->out, "\r\n");
}

static void end_lines(struct tg_connection *connection) {
    if (tg_options.stream && connection->begun) tg_append_text(&connection->out, "0\r\n\r\n");
}

/* Answers the oldest flights with the lines that are complete. */
static bool take_lines(struct tg_connection *connection) {
    struct tg_buffer *body = &connection->body;
    char *line_end;
    while (tg_held(body) && (line_end = memchr(tg_front(body), '\n', tg_held(body))) != NULL) {
        struct tg_flight *flight = tg_oldest(connection);
        if (flight == NULL || flight->answered == flight->count) return false; /* one too many */
        char *line = tg_front(body);
        tg_check_answer(flight, line, (size_t)(line_end - line));
        body->start += (size_t)(line_end + 1 - line);
        if (tg_options.stream && flight->answered == flight->count) tg_landed(connection);
    }
    return true;
}

static bool receive_lines(struct tg_connection *connection) {
    for (;;) {
        struct tg_buffer *body = &connection->body;
        int got = tg_http_decode(&connection->http, &connection->in, body);
        if (got < 0 || (got == 1 && connection->http.status == 0)) return false;
        if (connection->http.status == 200 && !take_lines(connection)) return false;
        if (got == 0) return true;
        struct tg_flight *flight;
        while ((flight = tg_oldest(connection)) != NULL) {
            bool answered = connection->http.status == 200;
            tg_fail_rest(flight, answered ? "no_answer" : "status", tg_front(body), tg_held(body));
            tg_landed(connection);
            if (!tg_options.stream) break;
        }
        body->start = body->end = 0;
        connection->begun = false;
    }
}

const struct tg_transport tg_ndjson = {"ndjson", begin, send_lines, receive_lines, end_lines};
