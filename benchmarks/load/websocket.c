#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <string.h>

enum { CONTINUED, TEXT, BINARY, CLOSE = 8, PING, PONG };

static void begin(struct tg_connection *connection) {
    char head[512];
    snprintf(head, sizeof head,
             "GET /v1/models/%s/ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: " TG_SAMPLE_KEY
             "\r\nSec-WebSocket-Version: 13\r\n\r\n",
             tg_options.model, tg_options.host);
    tg_append_text(&connection->out, head);
}

static void write_frame(struct tg_buffer *out, int kind, const char *payload, size_t length) {
    unsigned char *to = (unsigned char *)tg_room(out, length + 14 + 8), *from = to;
    *to++ = (unsigned char)(0x80 | kind);
    if (length < 126) {
        *to++ = (unsigned char)(0x80 | length);
    } else {
        int bytes = length < 65536 ? 2 : 8;
        *to++ = (unsigned char)(0x80 | (bytes == 2 ? 126 : 127));
        for (int byte = bytes - 1; byte >= 0; byte--) *to++ = (unsigned char)(length >> 8 * byte);
    }
    uint32_t key = (uint32_t)tg_draw();
    uint64_t twice = (uint64_t)key << 32 | key, word;
    memcpy(to, &key, 4);
    to += 4;
    for (size_t at = 0; at < length; at += 8) { /* past the end within the room, and the payload's */
        memcpy(&word, payload + at, 8);
        word ^= twice;
        memcpy(to + at, &word, 8);
    }
    out->end += (size_t)(to - from) + length;
}

static void send_frame(struct tg_connection *connection, struct tg_flight *flight) {
    static struct tg_buffer text;
    text.start = text.end = 0;
    bool list = flight->count > 1;
    for (uint32_t i = 0; i < flight->count; i++) {
        char *to = tg_room(&text, TG_EVENT_BYTES), *end = to;
        if (list) *end++ = i ? ',' : '[';
        end = tg_write_event(end, flight->items[i], true);
        text.end += (size_t)(end - to);
    }
    if (list) tg_append_text(&text, "]");
    tg_room(&text, 8);
    write_frame(&connection->out, TEXT, tg_front(&text), tg_held(&text));
}

/* Returns the end of the object that begins at `from`, or NULL. */
static const char *object_end(const char *from, const char *end) {
    int depth = 0;
    bool quoted = false;
    for (const char *at = from; at < end; at++) {
        if (quoted) {
            if (*at == '\\') at++;
            else if (*at == '"') quoted = false;
        } else if (*at == '"') {
            quoted = true;
        } else if (*at == '{') {
            depth++;
        } else if (*at == '}' && --depth == 0) {
            return at + 1;
        }
    }
    return NULL;
}

static bool take_answers(struct tg_connection *connection) {
    struct tg_flight *flight = tg_oldest(connection);
    if (flight == NULL) return false;
    const char *at = tg_front(&connection->body), *end = at + tg_held(&connection->body);
    const char *whole = at;
    while (at < end) {
        if (*at != '{') { /* the list's brackets and commas */
            at++;
            continue;
        }
        const char *next = object_end(at, end);
        if (next == NULL || flight->answered == flight->count) return false;
        tg_check_answer(flight, at, (size_t)(next - at));
        at = next;
    }
    tg_fail_rest(flight, "no_answer", whole, (size_t)(end - whole));
    tg_landed(connection);
    return true;
}

int64_t tg_frame(struct tg_buffer *in, int *kind, bool *last, char **payload, size_t *length) {
    unsigned char *front = (unsigned char *)tg_front(in);
    if (tg_held(in) < 2) return 0;
    bool masked = front[1] & 128;
    size_t head = 2, size = front[1] & 127, size_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (tg_held(in) < head + size_bytes + (masked ? 4 : 0)) return 0;
    if (size_bytes) size = 0;
    while (size_bytes--) size = size << 8 | front[head++];
    if (size > 1u << 30) return -1;
    unsigned char *key = front + head;
    if (masked) head += 4;
    if (tg_held(in) < head + size) return 0;
    if (masked) {
        for (size_t i = 0; i < size; i++) front[head + i] ^= key[i & 3];
    }
    *kind = front[0] & 15;
    *last = front[0] & 128;
    *payload = (char *)front + head;
    *length = size;
    return (int64_t)(head + size);
}

/* Takes one frame. 0: more is needed; 1: taken; -1: it makes no sense, or is the last. */
static int take_frame(struct tg_connection *connection) {
    int kind;
    bool last, good = true;
    char *payload;
    size_t length;
    int64_t taken = tg_frame(&connection->in, &kind, &last, &payload, &length);
    if (taken <= 0) return (int)taken;
    if (kind == CLOSE) return -1;
    if (kind == PING) {
        char copy[128 + 8];
        if (length > 125) return -1;
        memcpy(copy, payload, length);
        write_frame(&connection->out, PONG, copy, length);
    } else if (kind != PONG) {
        tg_append(&connection->body, payload, length);
        if (last) {
            good = take_answers(connection);
            connection->body.start = connection->body.end = 0;
        }
    }
    connection->in.start += (size_t)taken;
    return good ? 1 : -1;
}

static bool receive(struct tg_connection *connection) {
    if (!connection->begun) {
        struct tg_buffer head = connection->in;
        int got = tg_http_decode(&connection->http, &connection->in, &connection->body);
        if (got <= 0) return got == 0;
        size_t length = connection->in.start - head.start;
        if (connection->http.status != 101 ||
            memmem(tg_front(&head), length, TG_SAMPLE_ACCEPT, sizeof TG_SAMPLE_ACCEPT - 1) == NULL)
            return false;
        connection->begun = connection->ready = true;
    }
    int got;
    while ((got = take_frame(connection)) == 1) continue;
    return got == 0;
}

static void end(struct tg_connection *connection) {
    static const char normal[8] = {0x03, (char)0xe8}; /* 1000; as long as a word, for the mask */
    if (connection->begun) write_frame(&connection->out, CLOSE, normal, 2);
}

const struct tg_transport tg_websocket = {"websocket", begin, send_frame, receive, end};
