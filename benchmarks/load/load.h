/* A load generator for `tidegate bench serve`: one thread, epoll, no dependencies.
 *
 * main.c      the loop, the report
 * basics.c    options, bytes, time
 * events.c    sessions and their seq, events as JSON, answers checked
 * zipf.c      which session is next where some are more active than others
 * http.c      responses decoded; one event a request, and bulk as lines of JSON
 * websocket.c RFC 6455, the client's side
 * arrow.c     bulk as Arrow IPC streams
 * histogram.c latencies
 * watch.c     CPU time and memory of the server, and how long a disk takes to sync
 * echo.c      a server that answers what it was sent: what the generator can do at most
 */
#ifndef TG_LOAD_H
#define TG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TG_FIELDS 16
#define TG_NAME_BYTES 9        /* a session's id: a letter and eight digits */
#define TG_EVENT_BYTES 512     /* no event's JSON is longer, its session and seq included */
#define TG_MOST_SECONDS 4096
#define TG_KINDS 16            /* different errors that are told apart */

/* ---- bytes ---- */

struct tg_buffer {
    char *data;
    size_t start, end, capacity; /* what is held: data[start, end) */
};

/* Returns where `more` bytes may be written, after `end`; what is held may move. */
char *tg_room(struct tg_buffer *buffer, size_t more);
void tg_append(struct tg_buffer *buffer, const void *bytes, size_t count);
void tg_append_text(struct tg_buffer *buffer, const char *text);
static inline size_t tg_held(const struct tg_buffer *buffer) { return buffer->end - buffer->start; }
static inline char *tg_front(const struct tg_buffer *buffer) { return buffer->data + buffer->start; }

/* Ends the process: what was asked for cannot be done. */
_Noreturn void tg_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- latencies: relative error below 1 %, 1 ns to hours ---- */

#define TG_SUB_BITS 7
struct tg_histogram {
    uint64_t counts[(64 - TG_SUB_BITS + 1) << TG_SUB_BITS];
    uint64_t total, largest;
};

void tg_record(struct tg_histogram *histogram, uint64_t ns);
/* The least value that a share of all is not above (its bucket's middle); 0 of none. */
uint64_t tg_percentile(const struct tg_histogram *histogram, double share);

/* ---- what is asked for ---- */

struct tg_options {
    const char *host, *model, *path, *template_file, *file, *seqs, *watch;
    uint32_t port, connections, sessions, events, depth, wrong;
    double seconds, warmup, rate; /* rate: requests a second; 0: closed loop */
    double zipf;                  /* the exponent; 0: all sessions are as active */
    uint64_t seed;
    char prefix;
    bool fill, stream;
};
extern struct tg_options tg_options;
void tg_read_options(int count, char **words); /* from the second word on */

/* ---- events ---- */

struct tg_item {
    uint32_t session, seq; /* seq: 0 until it is given out */
};

void tg_events_begin(void);
void tg_events_end(void); /* writes the file of --seqs */
uint64_t tg_draw(void); /* 64 random bits */
double tg_normal(void);
void tg_zipf_begin(void);
uint32_t tg_draw_zipf(void); /* a session; O(1) */
void tg_session_name(char *name, uint32_t session);
/* Writes {"session":...,"seq":...,"event":{...}} and returns its end; without the session where
 * `named` is false. At most TG_EVENT_BYTES. */
char *tg_write_event(char *to, struct tg_item item, bool named);

/* One request, frame or chunk that is on its way. */
struct tg_flight {
    uint64_t due;               /* when it was to be sent, ns: latency counts from there */
    uint32_t count, answered;   /* events; those that failed are answered too */
    uint32_t failed;
    struct tg_item *items;
};

/* Answers, one for each item in order. An answer is an object of JSON. */
void tg_check_answer(struct tg_flight *flight, const char *object, size_t length);
/* The same for an answer that is not JSON. */
void tg_check_seq(struct tg_flight *flight, int64_t seq);
/* The next answer of a flight is an error of this kind; `text` is shown if it is the first. */
void tg_fail(struct tg_flight *flight, const char *kind, const char *text, size_t length);
/* All answers that are still missing. `text` may hold {"error":{"code":...}}: that is the kind then. */
void tg_fail_rest(struct tg_flight *flight, const char *kind, const char *text, size_t length);

/* An error of an event that was never sent. */
void tg_count_error(const char *kind);

struct tg_errors {
    uint64_t total, counts[TG_KINDS];
    char kinds[TG_KINDS][40], first[400];
};
extern struct tg_errors tg_errors;

/* ---- connections ---- */

struct tg_http {
    int state, status; /* status: 0 of a request */
    bool chunked;
    uint64_t left;
};

struct tg_connection {
    int fd;
    uint32_t number, owned, filled; /* sessions that it owns, and that were begun */
    bool ready, dead, writing, begun;
    struct tg_buffer out, in, body;
    struct tg_http http;
    struct tg_flight *flights; /* a ring of options.depth */
    uint32_t first, flying;
};

/* Chooses the sessions of a flight. Connections own the sessions number, number + connections, ...;
 * with --zipf they own them only while they fill. */
void tg_take_sessions(struct tg_connection *connection, struct tg_flight *flight);
/* Gives out the seqs of a flight. False, and nothing is changed: another connection has one of its
 * sessions on the way, and what is sent on two connections may arrive in any order. */
bool tg_take_seqs(struct tg_flight *flight);
void tg_release_sessions(const struct tg_flight *flight);

static inline struct tg_flight *tg_oldest(struct tg_connection *connection) {
    return connection->flying ? &connection->flights[connection->first] : NULL;
}
/* The oldest flight has all its answers. */
void tg_landed(struct tg_connection *connection);

/* How events travel. */
struct tg_transport {
    const char *name;
    void (*begin)(struct tg_connection *); /* what is said first; the connection may be ready */
    void (*send)(struct tg_connection *, struct tg_flight *);
    bool (*receive)(struct tg_connection *); /* false: what came makes no sense */
    void (*end)(struct tg_connection *);   /* what is said last, or NULL */
};
extern const struct tg_transport tg_http_single, tg_ndjson, tg_websocket, tg_arrow;

/* Returns the value of a header, or NULL. The head ends with an empty line. */
const char *tg_http_header(const char *head, const char *end, const char *name);
/* Moves what came from `in` to `body`. 0: more is needed; 1: a message is complete; -1: it makes no
 * sense. */
int tg_http_decode(struct tg_http *http, struct tg_buffer *in, struct tg_buffer *body);
void tg_http_head(struct tg_buffer *out, const char *path, const char *type, size_t length);

#define TG_SAMPLE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define TG_SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455, 1.3 */

/* Takes one frame of a WebSocket; its payload is unmasked in place and not yet taken from `in`.
 * Returns its whole length, 0 if more is needed, -1 if it makes no sense. */
int64_t tg_frame(struct tg_buffer *in, int *kind, bool *last, char **payload, size_t *length);

_Noreturn void tg_echo(void);
void tg_sync(void);
void tg_watch(double *cpu_s, double *rss_bytes);
void tg_print_latencies(const struct tg_histogram *histogram);
uint64_t tg_now(void); /* ns */

#endif
