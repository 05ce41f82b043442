#define _GNU_SOURCE
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tg_options tg_options = {
    .host = "127.0.0.1", .model = "bench", .connections = 1, .sessions = 1000, .events = 1,
    .depth = 1, .seconds = 1, .warmup = 0, .seed = 1, .prefix = 's'};

_Noreturn void tg_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

uint64_t tg_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

char *tg_room(struct tg_buffer *buffer, size_t more) {
    if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
    if (buffer->capacity - buffer->end < more) {
        size_t held = tg_held(buffer);
        if (held + more > buffer->capacity / 2) { /* else what was taken leaves room enough */
            size_t capacity = 2 * (held + more) + 4096;
            char *data = malloc(capacity);
            if (data == NULL) tg_die("no memory");
            if (held) memcpy(data, tg_front(buffer), held);
            free(buffer->data);
            buffer->data = data;
            buffer->capacity = capacity;
        } else {
            memmove(buffer->data, tg_front(buffer), held);
        }
        buffer->start = 0;
        buffer->end = held;
    }
    return buffer->data + buffer->end;
}

void tg_append(struct tg_buffer *buffer, const void *bytes, size_t count) {
    if (count == 0) return;
    memcpy(tg_room(buffer, count), bytes, count);
    buffer->end += count;
}

void tg_append_text(struct tg_buffer *buffer, const char *text) { tg_append(buffer, text, strlen(text)); }

static double number(const char *name, const char *text, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= least && value <= most))
        tg_die("%s takes a number from %g to %g, not %s", name, least, most, text);
    return value;
}

void tg_read_options(int count, char **words) {
    struct tg_options *o = &tg_options;
    for (int i = 2; i < count; i++) {
        const char *name = words[i];
        if (!strcmp(name, "--fill")) { o->fill = true; continue; }
        if (!strcmp(name, "--stream")) { o->stream = true; continue; }
        if (++i == count) tg_die("%s needs a value", name);
        const char *value = words[i];
        if (!strcmp(name, "--host")) o->host = value;
        else if (!strcmp(name, "--model")) o->model = value;
        else if (!strcmp(name, "--path")) o->path = value;
        else if (!strcmp(name, "--template")) o->template_file = value;
        else if (!strcmp(name, "--file")) o->file = value;
        else if (!strcmp(name, "--seqs")) o->seqs = value;
        else if (!strcmp(name, "--watch")) o->watch = value;
        else if (!strcmp(name, "--prefix")) o->prefix = *value;
        else if (!strcmp(name, "--port")) o->port = (uint32_t)number(name, value, 0, 65535);
        else if (!strcmp(name, "--connections")) o->connections = (uint32_t)number(name, value, 1, 10000);
        else if (!strcmp(name, "--sessions")) o->sessions = (uint32_t)number(name, value, 1, 99999999);
        else if (!strcmp(name, "--events")) o->events = (uint32_t)number(name, value, 1, 100000);
        else if (!strcmp(name, "--depth")) o->depth = (uint32_t)number(name, value, 1, 1000);
        else if (!strcmp(name, "--wrong")) o->wrong = (uint32_t)number(name, value, 1, 1e9);
        else if (!strcmp(name, "--seconds")) o->seconds = number(name, value, 0.01, TG_MOST_SECONDS - 1);
        else if (!strcmp(name, "--warmup")) o->warmup = number(name, value, 0, 3600);
        else if (!strcmp(name, "--rate")) o->rate = number(name, value, 0, 1e7);
        else if (!strcmp(name, "--zipf")) o->zipf = number(name, value, 0, 10);
        else if (!strcmp(name, "--seed")) o->seed = (uint64_t)number(name, value, 0, 1e15);
        else tg_die("%s is no option", name);
    }
    if (o->sessions < o->connections) tg_die("each connection needs a session of its own");
    if (o->zipf > 0 && o->depth > 1) tg_die("--zipf takes no --depth");
}
