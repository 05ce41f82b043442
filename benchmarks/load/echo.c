/* A server that answers what it was sent, on every transport. With --wrong N every N-th answer has
 * another seq than it should: what the generator has to notice. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t answers;

static void spoil(char *body, size_t length) {
    static const char name[] = "\"seq\":";
    if (tg_options.wrong == 0 || ++answers % tg_options.wrong != 0) return;
    char *found = memmem(body, length, name, sizeof name - 1);
    if (found != NULL) found[sizeof name - 1] = found[sizeof name - 1] == '9' ? '8' : '9';
}

static void answer_http(struct tg_connection *client, bool ended) {
    struct tg_buffer *body = &client->body, *out = &client->out;
    char head[128];
    if (!ended && (!client->http.chunked || tg_held(body) == 0)) return;
    spoil(tg_front(body), tg_held(body));
    if (!client->http.chunked) {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n", tg_held(body));
        tg_append_text(out, head);
        tg_append(out, tg_front(body), tg_held(body));
    } else {
        if (!client->begun)
            tg_append_text(out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        client->begun = !ended;
        if (tg_held(body)) {
            snprintf(head, sizeof head, "%zx\r\n", tg_held(body));
            tg_append_text(out, head);
            tg_append(out, tg_front(body), tg_held(body));
            tg_append_text(out, "\r\n");
        }
        if (ended) tg_append_text(out, "0\r\n\r\n");
    }
    body->start = body->end = 0;
}

static bool answer_frames(struct tg_connection *client) {
    int kind;
    bool last;
    char *payload;
    size_t length;
    int64_t taken;
    while ((taken = tg_frame(&client->in, &kind, &last, &payload, &length)) > 0) {
        if (kind == 8) return false;
        unsigned char head[4] = {(unsigned char)tg_front(&client->in)[0], (unsigned char)length};
        size_t head_bytes = 2;
        if (length > 65535) return false; /* the generator's frames are shorter */
        if (length > 125) {
            head[1] = 126, head[2] = (unsigned char)(length >> 8), head[3] = (unsigned char)length;
            head_bytes = 4;
        }
        spoil(payload, length);
        tg_append(&client->out, head, head_bytes);
        tg_append(&client->out, payload, length);
        client->in.start += (size_t)taken;
    }
    return taken == 0;
}

/* `ready`: it has become a WebSocket. */
static bool answer(struct tg_connection *client) {
    static const char accept[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Accept: " TG_SAMPLE_ACCEPT
                                 "\r\n\r\n";
    while (!client->ready && tg_held(&client->in)) {
        char *front = tg_front(&client->in);
        char *end = memmem(front, tg_held(&client->in), "\r\n\r\n", 4);
        bool between = !client->begun && client->http.state == 0;
        client->ready = between && end && tg_http_header(front, end + 2, "Upgrade") != NULL;
        int got = tg_http_decode(&client->http, &client->in, &client->body);
        if (got < 0) return false;
        if (client->ready)
            tg_append_text(&client->out, accept);
        else
            answer_http(client, got == 1);
        if (got == 0) break;
    }
    return !client->ready || answer_frames(client);
}

static void leave(struct tg_connection *client) {
    close(client->fd);
    free(client->in.data), free(client->out.data), free(client->body.data);
    free(client);
}

static bool serve(int poll, struct tg_connection *client, uint32_t events) {
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        char *to = tg_room(&client->in, 1 << 16);
        ssize_t count = read(client->fd, to, 1 << 16);
        if (count == 0 || (count < 0 && errno != EAGAIN)) return false;
        if (count > 0) client->in.end += (size_t)count;
        if (!answer(client)) return false;
    }
    while (tg_held(&client->out)) {
        ssize_t count = write(client->fd, tg_front(&client->out), tg_held(&client->out));
        if (count < 0 && errno != EAGAIN) return false;
        if (count <= 0) break;
        client->out.start += (size_t)count;
    }
    bool writing = tg_held(&client->out) > 0;
    if (writing != client->writing) {
        struct epoll_event wanted = {EPOLLIN | (writing ? EPOLLOUT : 0), {.ptr = client}};
        epoll_ctl(poll, EPOLL_CTL_MOD, client->fd, &wanted);
        client->writing = writing;
    }
    return true;
}

_Noreturn void tg_echo(void) {
    int poll = epoll_create1(0), one = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)tg_options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        tg_die("cannot listen on port %u: %s", tg_options.port, strerror(errno));
    printf("{\"event\": \"ready\", \"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event found[64], wanted = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
    for (;;) {
        int count = epoll_wait(poll, found, 64, -1);
        for (int i = 0; i < count; i++) {
            struct tg_connection *client = found[i].data.ptr;
            if (client != NULL) {
                if (!serve(poll, client, found[i].events)) leave(client);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0 || (client = calloc(1, sizeof *client)) == NULL) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            client->fd = fd;
            wanted = (struct epoll_event){EPOLLIN, {.ptr = client}};
            epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted);
        }
    }
}
