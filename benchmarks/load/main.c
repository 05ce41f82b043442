#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DRAIN_NS 10000000000ull
#define CONNECT_NS 10000000000ull

/* Connecting, then each session once (with --fill), then unmeasured, then measured, then only what
 * is on its way. */
static enum { CONNECT, FILL, WARM, MEASURE, DRAIN, DONE } phase;
static uint64_t phase_began, measure_began, measure_end, fill_ns, fill_end;
static const struct tg_transport *transport;
static struct tg_connection *connections;
static struct tg_connection **idle; /* a ring: one place for each flight that may take off */
static uint32_t idle_first, idle_count, idle_size, alive, unfilled, on_the_way;
static struct tg_connection **waiting; /* for a session that another has on the way; in order */
static uint32_t waiting_count;
static uint64_t next_due;
static int poll_fd, timer_fd = -1;

static struct {
    struct tg_histogram latencies;
    uint64_t events, requests, sent, received, filled, by_second[TG_MOST_SECONDS];
    double cpu_s, server_cpu_s, rss_bytes;
    uint32_t lost;
} report;

/* ---- flights ---- */

static void push_idle(struct tg_connection *connection) {
    idle[(idle_first + idle_count++) % idle_size] = connection;
}

void tg_landed(struct tg_connection *connection) {
    struct tg_flight *flight = &connection->flights[connection->first];
    uint64_t now = tg_now();
    uint32_t right = flight->count - flight->failed;
    tg_release_sessions(flight);
    if (flight->due < fill_end) report.filled += right;
    if (now >= measure_began && now < measure_end) {
        report.events += right;
        report.requests++;
        report.by_second[(now - measure_began) / 1000000000u] += right;
    }
    if (flight->due >= measure_began && flight->due < measure_end)
        tg_record(&report.latencies, now - flight->due);
    connection->first = (connection->first + 1) % tg_options.depth;
    connection->flying--;
    on_the_way--;
    push_idle(connection);
}

static void take_off(struct tg_connection *connection, uint64_t due) {
    uint32_t place = (connection->first + connection->flying) % tg_options.depth;
    struct tg_flight *flight = &connection->flights[place];
    bool was_filled = connection->filled == connection->owned;
    flight->due = due;
    flight->answered = flight->failed = 0;
    tg_take_sessions(connection, flight);
    if (!was_filled && connection->filled == connection->owned) unfilled--;
    connection->flying++;
    on_the_way++;
    if (tg_take_seqs(flight))
        transport->send(connection, flight);
    else /* it waits: to draw others instead would give busy sessions less than their share */
        waiting[waiting_count++] = connection;
}

static void lose(struct tg_connection *connection, const char *why) {
    if (connection->dead) return;
    connection->dead = true;
    alive--;
    if (connection->filled < connection->owned) unfilled--;
    epoll_ctl(poll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    close(connection->fd);
    for (; connection->flying; connection->flying--, on_the_way--) {
        tg_fail_rest(tg_oldest(connection), why, "", 0);
        tg_release_sessions(tg_oldest(connection));
        connection->first = (connection->first + 1) % tg_options.depth;
    }
}

static void flush(struct tg_connection *connection) {
    while (!connection->dead && tg_held(&connection->out)) {
        ssize_t count = write(connection->fd, tg_front(&connection->out), tg_held(&connection->out));
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0) {
            lose(connection, "closed");
            return;
        }
        connection->out.start += (size_t)count;
        report.sent += (uint64_t)count;
    }
    bool writing = tg_held(&connection->out) > 0;
    if (!connection->dead && writing != connection->writing) {
        struct epoll_event wanted = {EPOLLIN | (writing ? EPOLLOUT : 0), {.ptr = connection}};
        epoll_ctl(poll_fd, EPOLL_CTL_MOD, connection->fd, &wanted);
        connection->writing = writing;
    }
}

/* Sends what waited for a session that is free again. */
static void send_waiting(void) {
    uint32_t count = waiting_count;
    waiting_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct tg_connection *connection = waiting[i];
        if (connection->dead) continue;
        if (tg_take_seqs(tg_oldest(connection))) {
            transport->send(connection, tg_oldest(connection));
            flush(connection);
        } else {
            waiting[waiting_count++] = connection;
        }
    }
}

/* Arrivals are those of a Poisson process, whatever the server does. */
static void arrive_next(void) {
    double u = ((double)(tg_draw() >> 11) + 1.0) * 0x1p-53;
    next_due += (uint64_t)(-log(u) * 1e9 / tg_options.rate) + 1;
}

/* Requests that arrived while all connections were taken, and that still have to be sent. */
static bool is_behind(void) { return tg_options.rate > 0 && next_due < measure_end; }

static void pump(void) {
    bool open_loop = tg_options.rate > 0 && phase != FILL;
    send_waiting();
    if (phase == CONNECT || phase == DONE || (phase == DRAIN && !is_behind())) return;
    uint64_t now = tg_now();
    while (idle_count && (!open_loop || (next_due <= now && (phase < DRAIN || is_behind())))) {
        struct tg_connection *connection = idle[idle_first];
        idle_first = (idle_first + 1) % idle_size;
        idle_count--;
        if (connection->dead) continue;
        take_off(connection, open_loop ? next_due : now);
        if (open_loop) arrive_next();
        flush(connection);
    }
}

static void read_from(struct tg_connection *connection) {
    bool was_ready = connection->ready;
    size_t most = tg_options.events > 64 ? 1 << 20 : 1 << 16;
    char *to = tg_room(&connection->in, most);
    ssize_t count = read(connection->fd, to, most);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        lose(connection, "closed");
        return;
    }
    connection->in.end += (size_t)count;
    report.received += (uint64_t)count;
    if (!transport->receive(connection)) lose(connection, "bad_answer");
    if (!was_ready && connection->ready)
        for (uint32_t i = 0; i < tg_options.depth; i++) push_idle(connection);
    flush(connection); /* an answer to a ping */
}

/* ---- phases ---- */

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void count_use(int sign) {
    double server, rss;
    tg_watch(&server, &rss);
    report.cpu_s += sign * cpu_s();
    report.server_cpu_s += sign * server;
    report.rss_bytes = rss;
}

static void advance(uint64_t now) {
    if (phase == CONNECT) {
        uint32_t ready = 0;
        for (uint32_t i = 0; i < tg_options.connections; i++) ready += connections[i].ready;
        if (ready < tg_options.connections) {
            if (now - phase_began > CONNECT_NS || alive < tg_options.connections)
                tg_die("only %u of %u connections were accepted", ready, tg_options.connections);
            return;
        }
        phase = FILL;
        fill_end = UINT64_MAX;
        phase_began = now;
    }
    if (phase == FILL && unfilled == 0) {
        phase = WARM;
        fill_ns = now - phase_began;
        fill_end = tg_options.fill ? now : 0;
        phase_began = next_due = now;
    }
    if (phase == WARM && (double)(now - phase_began) >= tg_options.warmup * 1e9) {
        phase = MEASURE;
        count_use(-1);
        report.sent = report.received = 0;
        measure_began = tg_now();
        measure_end = measure_began + (uint64_t)(tg_options.seconds * 1e9);
    }
    if (phase == MEASURE && now >= measure_end) {
        phase = DRAIN;
        count_use(1);
    }
    bool drained = on_the_way == 0 && (alive == 0 || !is_behind());
    if (phase == DRAIN && (drained || now > measure_end + DRAIN_NS)) phase = DONE;
    if (alive == 0 && phase < DRAIN) tg_die("all connections were lost: %s", tg_errors.first);
}

static void leave(void) {
    report.lost = tg_options.connections - alive;
    for (; is_behind(); arrive_next()) tg_count_error("never_sent");
    for (uint32_t i = 0; i < tg_options.connections; i++) {
        struct tg_connection *connection = &connections[i];
        if (connection->dead) continue;
        if (transport->end != NULL) transport->end(connection);
        flush(connection);
        lose(connection, "unanswered");
    }
}

static void wait_for_events(uint64_t now) {
    struct epoll_event found[256];
    int timeout = 100;
    if (timer_fd >= 0 && idle_count && next_due > now && (phase == WARM || phase == MEASURE)) {
        struct itimerspec due = {{0, 0}, {(time_t)(next_due / 1000000000u), (long)(next_due % 1000000000u)}};
        timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &due, NULL);
    } else if (phase == MEASURE) {
        uint64_t left = measure_end > now ? (measure_end - now) / 1000000u + 1 : 0;
        if (left < 100) timeout = (int)left;
    }
    int count = epoll_wait(poll_fd, found, 256, timeout);
    for (int i = 0; i < count; i++) {
        struct tg_connection *connection = found[i].data.ptr;
        if (connection == NULL) {
            uint64_t times;
            (void)!read(timer_fd, &times, sizeof times);
            continue;
        }
        if (found[i].events & EPOLLOUT) flush(connection);
        if (!connection->dead && found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_from(connection);
    }
}

static void open_connections(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)tg_options.port)};
    if (inet_pton(AF_INET, tg_options.host, &address.sin_addr) != 1) tg_die("--host takes an IPv4 address");
    connections = calloc(tg_options.connections, sizeof *connections);
    idle_size = tg_options.connections * tg_options.depth;
    idle = calloc(idle_size, sizeof(struct tg_connection *));
    waiting = calloc(tg_options.connections, sizeof(struct tg_connection *));
    if (connections == NULL || idle == NULL || waiting == NULL) tg_die("no memory");
    for (uint32_t i = 0; i < tg_options.connections; i++) {
        struct tg_connection *connection = &connections[i];
        int one = 1;
        connection->number = i;
        connection->owned =
            (tg_options.sessions - i + tg_options.connections - 1) / tg_options.connections;
        connection->filled = tg_options.fill ? 0 : connection->owned;
        unfilled += tg_options.fill;
        connection->flights = calloc(tg_options.depth, sizeof *connection->flights);
        for (uint32_t j = 0; j < tg_options.depth; j++) {
            connection->flights[j].count = tg_options.events;
            connection->flights[j].items = calloc(tg_options.events, sizeof(struct tg_item));
            if (connection->flights[j].items == NULL) tg_die("no memory");
        }
        connection->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connection->fd, (struct sockaddr *)&address, sizeof address))
            tg_die("cannot connect to port %u: %s", tg_options.port, strerror(errno));
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(connection->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event wanted = {EPOLLIN, {.ptr = connection}};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &wanted);
        alive++;
        transport->begin(connection);
        if (connection->ready)
            for (uint32_t j = 0; j < tg_options.depth; j++) push_idle(connection);
        flush(connection);
    }
}

/* ---- the report ---- */

void tg_print_latencies(const struct tg_histogram *histogram) {
    static const struct {
        const char *name;
        double share;
    } wanted[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        printf("\"%s_ms\": %.4f, ", wanted[i].name,
               (double)tg_percentile(histogram, wanted[i].share) * 1e-6);
    printf("\"max_ms\": %.4f", (double)histogram->largest * 1e-6);
}

static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') printf("\\%c", byte);
        else if (byte < 32 || byte > 126) putchar('?');
        else putchar(byte);
    }
    putchar('"');
}

static void print_report(void) {
    printf("{\"mode\": \"%s\", \"connections\": %u, \"sessions\": %u, \"events_a_request\": %u, "
           "\"depth\": %u, \"rate\": %g, \"seconds\": %g, ",
           transport->name, tg_options.connections, tg_options.sessions, tg_options.events,
           tg_options.depth, tg_options.rate, tg_options.seconds);
    printf("\"events\": %llu, \"requests\": %llu, \"events_per_s\": %.1f, ",
           (unsigned long long)report.events, (unsigned long long)report.requests,
           (double)report.events / tg_options.seconds);
    tg_print_latencies(&report.latencies);
    printf(", \"cpu_s\": %.3f, \"server_cpu_s\": %.3f, \"rss_mb\": %.1f, \"bytes_sent\": %llu, "
           "\"bytes_received\": %llu, \"fill_s\": %.3f, \"fill_events\": %llu, \"lost_connections\": %u, ",
           report.cpu_s, report.server_cpu_s, report.rss_bytes * 1e-6, (unsigned long long)report.sent,
           (unsigned long long)report.received, (double)fill_ns * 1e-9,
           (unsigned long long)report.filled, report.lost);
    printf("\"errors\": %llu, \"error_kinds\": {", (unsigned long long)tg_errors.total);
    for (int i = 0; i < TG_KINDS && *tg_errors.kinds[i]; i++) {
        fputs(i ? ", " : "", stdout);
        print_text(tg_errors.kinds[i]);
        printf(": %llu", (unsigned long long)tg_errors.counts[i]);
    }
    fputs("}, \"first_error\": ", stdout);
    print_text(tg_errors.first);
    fputs(", \"by_second\": [", stdout);
    for (unsigned second = 0; second < (unsigned)tg_options.seconds; second++)
        printf("%s%llu", second ? ", " : "", (unsigned long long)report.by_second[second]);
    puts("]}");
}

int main(int count, char **words) {
    static const struct tg_transport *const transports[] = {&tg_http_single, &tg_ndjson, &tg_websocket,
                                                            &tg_arrow};
    const char *mode = count > 1 ? words[1] : "";
    tg_read_options(count, words);
    if (!strcmp(mode, "echo")) tg_echo();
    if (!strcmp(mode, "sync")) {
        tg_sync();
        return 0;
    }
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
        if (!strcmp(mode, transports[i]->name)) transport = transports[i];
    if (transport == NULL) tg_die("the first word is http, ndjson, websocket, arrow, echo or sync");
    if (transport == &tg_http_single && tg_options.events != 1) tg_die("http sends one event a request");

    poll_fd = epoll_create1(0);
    if (tg_options.rate > 0) {
        struct epoll_event wanted = {EPOLLIN, {.ptr = NULL}};
        timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &wanted);
    }
    signal(SIGPIPE, SIG_IGN);
    tg_events_begin();
    open_connections();
    phase_began = tg_now();
    while (phase != DONE) {
        advance(tg_now());
        pump();
        if (phase != DONE) wait_for_events(tg_now());
    }
    leave();
    tg_events_end();
    print_report();
    return 0;
}
