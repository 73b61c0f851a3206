/* The benchmark's load generator and its origin server, each one thread around one epoll.

   load origin ADDRESS          An HTTP server that answers `GET /N` with N bytes. Prints its port; ends with its input.
   load run KEY=VALUE ...       Puts load on a proxy and prints one line of JSON.

   how=direct|get|connect|socks5   no proxy, absolute-form, a tunnel by CONNECT, a tunnel by SOCKS5 (RFC 1928, 1929)
   to=ADDRESS:PORT                 where connections go: the proxy, or the origin when there is none
   spread=N                        over that port and those after it, N in all, in turns
   origin=ADDRESS:PORT             what is asked for
   login=USER:PASSWORD basic=...   and the same in base64 for HTTP; without them nothing is said
   connections=N                   in flight at once
   reuse=0|1                       whether a connection is used again, or a new one is made for each answer
   size=N                          bytes of an answer
   seconds=S, total=N              the end, whichever comes first
   verify=1                        compares every byte of the bodies
   discard=1                       for long bodies: the kernel throws them away instead of copying them here (MSG_TRUNC,
                                   tcp(7)), and wakes this program for half a MiB at a time (SO_RCVLOWAT, socket(7))
   hold=idle|stalled               opens `connections`, uses each once (idle) or asks and never reads (stalled), prints
                                   "ready" and keeps them until its input ends; `again=1` then uses each once more

   Byte i of every body is i % 251, so that a byte that was lost, doubled or moved is found. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CYCLE = 251, CHUNK = 256 * 1024, HEAD_MAX = 4096, BATCH = 256, STEPS_MAX = 4, OPENING_MAX = 100 };
enum { DISCARD = 4 * 1024 * 1024, WAKE = 512 * 1024, HISTOGRAM = 64 * 60, GIVE_UP = 1000 };

static const uint64_t PATIENCE_NS = 20000000000u;
static unsigned char pattern[CHUNK + CYCLE];
static unsigned char buffer[CHUNK];
static int poller;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_pattern(void) {
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (unsigned char)(i % CYCLE);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(int op, int fd, uint32_t events, void *who) {
    struct epoll_event event = {.events = events, .data.ptr = who};
    if (epoll_ctl(poller, op, fd, &event) < 0) die("epoll_ctl");
}

static bool again(void) { return errno == EAGAIN || errno == EINTR; }

/* --- the origin ------------------------------------------------------------------------------------------------- */

typedef struct {
    int fd;
    size_t heard;
    uint64_t size, left;
    bool writing, last;
    char request[HEAD_MAX];
} session;

static void session_close(session *s) {
    close(s->fd);
    free(s);
}

/* Some of what is left. False: the session is over. */
static bool session_write(session *s) {
    if (s->left) {
        uint64_t most = s->left < CHUNK ? s->left : CHUNK;
        ssize_t n = send(s->fd, pattern + (s->size - s->left) % CYCLE, most, MSG_NOSIGNAL);
        if (n < 0 && !again()) return false;
        s->left -= n > 0 ? (uint64_t)n : 0;
    }
    bool more = s->left > 0;
    if (more != s->writing) watch(EPOLL_CTL_MOD, s->fd, more ? EPOLLIN | EPOLLOUT : EPOLLIN, s);
    s->writing = more;
    return more || !s->last;
}

static bool session_answer(session *s) {
    char answer[HEAD_MAX];
    bool old = strstr(s->request, "HTTP/1.0\r\n") != NULL;
    if (sscanf(s->request, "GET /%" SCNu64 " HTTP/1.", &s->size) != 1) return false;
    s->last = strcasestr(s->request, "\r\nConnection: close") || (old && !strcasestr(s->request, "keep-alive"));
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                     "Content-Type: application/octet-stream\r\nContent-Length: %" PRIu64 "\r\n%s\r\n",
                     s->size, s->last ? "Connection: close\r\n" : "");
    uint64_t head = (uint64_t)n, small = s->size < sizeof answer - head ? s->size : sizeof answer - head;
    memcpy(answer + head, pattern, small);
    if (send(s->fd, answer, head + small, MSG_NOSIGNAL) != (ssize_t)(head + small)) return false;
    s->left = s->size - small;
    return session_write(s);
}

/* Requests may come together; one is answered before the next is looked at. */
static bool session_obey(session *s) {
    while (!s->left) {
        s->request[s->heard] = 0;
        char *end = strstr(s->request, "\r\n\r\n");
        if (!end) return s->heard < sizeof s->request - 1;
        char after = end[4];
        end[4] = 0;
        if (!session_answer(s)) return false;
        end[4] = after;
        s->heard -= (size_t)(end + 4 - s->request);
        memmove(s->request, end + 4, s->heard);
    }
    return true;
}

static bool session_read(session *s) {
    ssize_t n = recv(s->fd, s->request + s->heard, sizeof s->request - 1 - s->heard, 0);
    if (n < 0) return again();
    s->heard += (size_t)n;
    return n > 0;
}

static bool session_turn(session *s, uint32_t events) {
    if (events & EPOLLOUT && !session_write(s)) return false;
    if (events & ~(uint32_t)EPOLLOUT && !session_read(s)) return false;
    return session_obey(s);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && again()) return;
        if (fd < 0) die("accept");
        session *s = calloc(1, sizeof *s);
        if (!s) die("memory");
        s->fd = fd;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, s);
    }
}

static int origin(const char *address) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t length = sizeof at;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) die(address);
    setsockopt(listener, IPPROTO_TCP, 1 /* TCP_NODELAY, inherited */, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) die("listen");
    getsockname(listener, (struct sockaddr *)&at, &length);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    watch(EPOLL_CTL_ADD, 0, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(poller, events, BATCH, -1);
        for (int i = 0; i < n; i++) {
            session *s = events[i].data.ptr;
            if (!s) return 0;
            if ((void *)s == (void *)&listener) accept_all(listener);
            else if (!session_turn(s, events[i].events)) session_close(s);
        }
    }
}

/* --- the generator ---------------------------------------------------------------------------------------------- */

typedef enum { HEAD, TWO_BYTES, SOCKS_REPLY, BODY } reply;
typedef struct {
    size_t length;
    reply expects;
    char bytes[HEAD_MAX];
} step;

typedef enum { SLEEPING, CONNECTING, TALKING, HELD } phase;
typedef struct {
    int fd, step, wake, refused;
    phase phase;
    bool used, last;
    size_t heard;
    uint64_t began, size, left;
    unsigned char head[HEAD_MAX];
} client;

static struct {
    const char *how, *login, *basic, *hold;
    struct sockaddr_in to, origin;
    char origin_name[64];
    uint64_t connections, size, total, reuse, verify, discard, spread, again;
    double seconds;
    step steps[STEPS_MAX];
    int last_step;
} plan = {.how = "direct", .login = "", .basic = "", .hold = "", .connections = 1, .size = 64, .spread = 1};

static struct {
    uint64_t opened, opening, done, failed, reopened, wrong, lost, bytes, slowest;
    uint64_t histogram[HISTOGRAM];
    char reason[128];
} told;

static bool holding(const char *how) { return strcmp(plan.hold, how) == 0; }

static void add_step(reply expects, size_t length, const char *bytes) {
    step *s = &plan.steps[plan.last_step++];
    s->expects = expects;
    s->length = length;
    memcpy(s->bytes, bytes, length);
}

static void __attribute__((format(printf, 2, 3))) add_text(reply expects, const char *format, ...) {
    char text[HEAD_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add_step(expects, (size_t)n, text);
}

static void add_socks5(void) {
    char bytes[HEAD_MAX] = {5, 1, *plan.login ? 2 : 0};
    add_step(TWO_BYTES, 3, bytes);
    const char *colon = strchr(plan.login, ':');
    if (colon) {
        size_t user = (size_t)(colon - plan.login), password = strlen(colon + 1);
        bytes[0] = 1;
        bytes[1] = (char)user;
        memcpy(bytes + 2, plan.login, user);
        bytes[2 + user] = (char)password;
        memcpy(bytes + 3 + user, colon + 1, password);
        add_step(TWO_BYTES, 3 + user + password, bytes);
    }
    memcpy(bytes, "\5\1\0\1", 4);
    memcpy(bytes + 4, &plan.origin.sin_addr, 4);
    memcpy(bytes + 8, &plan.origin.sin_port, 2);
    add_step(SOCKS_REPLY, 10, bytes);
}

static void make_steps(void) {
    char login[HEAD_MAX] = "";
    const char *authority = plan.origin_name, *last = plan.reuse || *plan.hold ? "" : "Connection: close\r\n";
    bool absolute = strcmp(plan.how, "get") == 0;
    if (*plan.basic) snprintf(login, sizeof login, "Proxy-Authorization: Basic %s\r\n", plan.basic);
    if (strcmp(plan.how, "connect") == 0)
        add_text(HEAD, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%sUser-Agent: load\r\n\r\n", authority, authority, login);
    if (strcmp(plan.how, "socks5") == 0) add_socks5();
    add_text(BODY, "GET %s%s/%" PRIu64 " HTTP/1.1\r\nHost: %s\r\n%sUser-Agent: load\r\nAccept: */*\r\n%s\r\n",
             absolute ? "http://" : "", absolute ? authority : "", plan.size, authority, absolute ? login : "", last);
    plan.last_step--;
}

static void record(uint64_t ns) {
    uint64_t us = ns / 1000;
    int power = 63 - __builtin_clzll(us | 1);
    told.histogram[power < 6 ? (int)us : (power - 5) * 64 + (int)((us >> (power - 6)) & 63)]++;
    if (us > told.slowest) told.slowest = us;
}

/* In microseconds, at most 1.6 % too low. */
static uint64_t quantile(double share) {
    uint64_t sum = 0, count = 0;
    for (int i = 0; i < HISTOGRAM; i++) count += told.histogram[i];
    for (int i = 0; i < HISTOGRAM; i++) {
        sum += told.histogram[i];
        if (count && (double)sum >= share * (double)count)
            return i < 128 ? (uint64_t)i : (uint64_t)(64 + i % 64) << (i / 64 - 1);
    }
    return 0;
}

static void client_open(client *c);

static void enter(client *c, phase next) {
    told.opening -= c->phase == CONNECTING || c->phase == TALKING;
    told.opening += next == CONNECTING || next == TALKING;
    c->phase = next;
}

static void client_close(client *c) {
    close(c->fd);
    enter(c, SLEEPING);
}

static void fail(client *c, const char *reason) {
    told.failed++;
    if (!*told.reason) snprintf(told.reason, sizeof told.reason, "%s (step %d)", reason, c->step + 1);
    for (char *each = told.reason; *each; each++)
        if (*each < ' ' || *each == '"' || *each == '\\') *each = '?';
    client_close(c);
    if (!*plan.hold) client_open(c);
}

/* What a client says fits into any socket's buffer, so it is sent whole or not at all. */
static void say(client *c) {
    const step *s = &plan.steps[c->step];
    c->heard = 0;
    if (send(c->fd, s->bytes, s->length, MSG_NOSIGNAL) != (ssize_t)s->length) {
        fail(c, strerror(errno));
        return;
    }
    if (holding("stalled") && c->step == plan.last_step) {
        told.done++;
        enter(c, HELD);
        watch(EPOLL_CTL_DEL, c->fd, 0, NULL);
    }
}

static bool may_open(void) {
    if (plan.total && told.opened >= plan.total) return false;
    return told.failed < GIVE_UP + told.done;
}

static void client_open(client *c) {
    if (!may_open()) return;
    struct sockaddr_in to = plan.to;
    to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + told.opened++ % plan.spread));
    c->step = 0;
    c->used = c->last = false;
    c->wake = 1;
    c->refused = 0;
    c->began = now_ns();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    bool there = connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0;
    /* Out of ports, for one: the socket itself will not tell. */
    if (!there && errno != EINPROGRESS) c->refused = errno;
    enter(c, there ? TALKING : CONNECTING);
    watch(EPOLL_CTL_ADD, c->fd, there ? EPOLLIN : EPOLLIN | EPOLLOUT, c);
    if (there) say(c);
}

static void connected(client *c) {
    int error = c->refused;
    socklen_t length = sizeof error;
    if (!error) getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        fail(c, strerror(error));
        return;
    }
    enter(c, TALKING);
    watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    say(c);
}

static void answered(client *c) {
    uint64_t now = now_ns();
    record(now - c->began);
    told.done++;
    c->used = true;
    if (*plan.hold) {
        enter(c, HELD);
        return;
    }
    if (!plan.reuse || c->last) {
        told.reopened += plan.reuse;
        client_close(c);
        client_open(c);
        return;
    }
    c->began = now;
    say(c);
}

static void next_step(client *c) {
    c->step++;
    say(c);
}

/* On one machine whoever sends pays for waking the receiver, which clients elsewhere do not cost a proxy. */
static void wake_for(client *c, uint64_t bytes) {
    int least = bytes < WAKE ? (int)bytes : WAKE;
    if (least != c->wake) setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
    c->wake = least;
}

static void read_body(client *c, const unsigned char *data, size_t n) {
    if (n > c->left) {
        fail(c, "more bytes than announced");
        return;
    }
    if (plan.verify && n && memcmp(data, pattern + (c->size - c->left) % CYCLE, n) != 0) told.wrong++;
    told.bytes += n;
    c->left -= n;
    if (plan.discard) wake_for(c, c->left ? c->left : 1);
    if (!c->left) answered(c);
}

static void read_head(client *c, bool body) {
    c->head[c->heard] = 0;
    char *head = (char *)c->head, *end = strstr(head, "\r\n\r\n");
    if (!end) {
        if (c->heard == sizeof c->head - 1) fail(c, "an endless head");
        return;
    }
    if (c->heard < 12 || strncmp(head + 8, " 200", 4) != 0) {
        head[c->heard < 40 ? c->heard : 40] = 0;
        *strchrnul(head, '\r') = 0;
        fail(c, head);
        return;
    }
    if (!body) {
        next_step(c);
        return;
    }
    end[2] = 0;
    char *length = strcasestr(head, "\r\nContent-Length:");
    if (!length || strtoull(length + 17, NULL, 10) != plan.size) {
        fail(c, "another length than asked for");
        return;
    }
    c->last = strcasestr(head, "Connection: close") || strncmp(head, "HTTP/1.0", 8) == 0;
    size_t start = (size_t)(end + 4 - head), rest = c->heard - start;
    c->size = c->left = plan.size;
    c->heard = 0;
    read_body(c, c->head + start, rest);
}

static void read_socks(client *c, reply expects) {
    size_t whole = 2;
    if (expects == SOCKS_REPLY) {
        if (c->heard < 5) return;
        whole = c->head[3] == 1 ? 10 : c->head[3] == 4 ? 22 : 7 + (size_t)c->head[4];
    }
    if (c->heard < whole) return;
    bool chosen = expects == TWO_BYTES && c->head[0] == 5, good = c->head[1] == (chosen && *plan.login ? 2 : 0);
    if (!good) fail(c, chosen ? "no such SOCKS method" : "refused by SOCKS");
    else next_step(c);
}

static void ended(client *c, const char *reason) {
    if (c->phase == HELD) {
        told.lost++;
        client_close(c);
    } else if (c->used && !c->left && !c->heard) {
        told.reopened++;
        client_close(c);
        client_open(c);
    } else {
        fail(c, reason);
    }
}

static void readable(client *c) {
    if (c->left) {
        uint64_t most = c->left < DISCARD ? c->left : DISCARD;
        ssize_t n = plan.discard ? recv(c->fd, NULL, most, MSG_TRUNC) : recv(c->fd, buffer, sizeof buffer, 0);
        if (n > 0) read_body(c, buffer, (size_t)n);
        else if (n == 0 || !again()) ended(c, n ? strerror(errno) : "closed in the middle of a body");
        return;
    }
    ssize_t n = recv(c->fd, c->head + c->heard, sizeof c->head - 1 - c->heard, 0);
    if (n < 0 && again()) return;
    if (n <= 0) {
        ended(c, n ? strerror(errno) : "closed without an answer");
        return;
    }
    c->heard += (size_t)n;
    reply expects = plan.steps[c->step].expects;
    if (expects == HEAD || expects == BODY) read_head(c, expects == BODY);
    else read_socks(c, expects);
}

static bool over(uint64_t end) {
    if (plan.total && told.done + told.failed >= plan.total) return true;
    return (end && now_ns() >= end) || told.failed >= GIVE_UP + told.done;
}

/* Each of those that are to be held is opened once, a few at a time. */
static void open_more(client *clients) {
    while (told.opened < plan.connections && told.opening < OPENING_MAX) client_open(&clients[told.opened]);
}

/* Until the end, or for as long as there is input. */
static void turn(client *clients, uint64_t end, bool until_input_ends) {
    while (until_input_ends || !over(end)) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(poller, events, BATCH, 100);
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (!c) return;
            if (c->phase == CONNECTING) connected(c);
            else if (c->phase != SLEEPING) readable(c);
        }
        if (*plan.hold && !until_input_ends) open_more(clients);
    }
}

/* What every client waits for, when nothing came of any. */
static void explain(const client *clients) {
    uint64_t connecting = 0, asking = 0, reading = 0;
    if (told.done || told.failed || told.bytes) return;
    for (uint64_t i = 0; i < plan.connections; i++) {
        connecting += clients[i].phase == CONNECTING;
        asking += clients[i].phase == TALKING && !clients[i].left;
        reading += clients[i].phase == TALKING && clients[i].left;
    }
    snprintf(told.reason, sizeof told.reason, "nothing moved: %" PRIu64 " connect, %" PRIu64 " wait for an answer, the "
             "first at step %d, %" PRIu64 " for its body", connecting, asking, clients[0].step + 1, reading);
}

static void report(double seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"reopened\": %" PRIu64 ", \"wrong\": %" PRIu64
           ", \"lost\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"p50_us\": %" PRIu64
           ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64 ", \"cpu_s\": %.6f, \"reason\": \"%s\"}\n",
           told.done, told.failed, told.reopened, told.wrong, told.lost, told.bytes, seconds, quantile(0.5),
           quantile(0.99), told.slowest, cpu, told.reason);
}

/* Those that were held are asked once more; they count as done a second time. */
static void use_again(client *clients) {
    watch(EPOLL_CTL_DEL, 0, 0, NULL);
    for (uint64_t i = 0; i < plan.connections; i++) {
        if (clients[i].phase != HELD) continue;
        plan.total++;
        clients[i].began = now_ns();
        enter(&clients[i], TALKING);
        say(&clients[i]);
    }
    turn(clients, now_ns() + PATIENCE_NS, false);
}

static int run(void) {
    client *clients = calloc(plan.connections, sizeof *clients);
    if (!clients) die("memory");
    make_steps();
    uint64_t began = now_ns(), end = plan.seconds > 0 ? began + (uint64_t)(plan.seconds * 1e9) : 0;
    if (*plan.hold) plan.total = plan.connections;
    for (uint64_t i = 0; i < plan.connections && !*plan.hold; i++) client_open(&clients[i]);
    if (*plan.hold) open_more(clients);
    turn(clients, end, false);
    uint64_t ended_at = now_ns();
    if (*plan.hold) {
        printf("ready\n");
        fflush(stdout);
        watch(EPOLL_CTL_ADD, 0, EPOLLIN, NULL);
        turn(clients, 0, true);
        if (plan.again) use_again(clients);
    }
    explain(clients);
    report((double)(ended_at - began) / 1e9);
    return 0;
}

/* --- the command line ------------------------------------------------------------------------------------------- */

static void read_address(const char *text, struct sockaddr_in *address) {
    char host[64] = "";
    int port = 0;
    if (sscanf(text, "%63[^:]:%d", host, &port) != 2 || inet_pton(AF_INET, host, &address->sin_addr) != 1) {
        fprintf(stderr, "load: %s is not ADDRESS:PORT\n", text);
        exit(2);
    }
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)port);
}

static void read_option(const char *key, const char *value) {
    if (!strcmp(key, "how")) plan.how = value;
    else if (!strcmp(key, "login")) plan.login = value;
    else if (!strcmp(key, "basic")) plan.basic = value;
    else if (!strcmp(key, "hold")) plan.hold = value;
    else if (!strcmp(key, "to")) read_address(value, &plan.to);
    else if (!strcmp(key, "connections")) plan.connections = strtoull(value, NULL, 10);
    else if (!strcmp(key, "size")) plan.size = strtoull(value, NULL, 10);
    else if (!strcmp(key, "total")) plan.total = strtoull(value, NULL, 10);
    else if (!strcmp(key, "reuse")) plan.reuse = strtoull(value, NULL, 10);
    else if (!strcmp(key, "verify")) plan.verify = strtoull(value, NULL, 10);
    else if (!strcmp(key, "discard")) plan.discard = strtoull(value, NULL, 10);
    else if (!strcmp(key, "spread")) plan.spread = strtoull(value, NULL, 10);
    else if (!strcmp(key, "again")) plan.again = strtoull(value, NULL, 10);
    else if (!strcmp(key, "seconds")) plan.seconds = strtod(value, NULL);
    else if (!strcmp(key, "origin")) {
        read_address(value, &plan.origin);
        snprintf(plan.origin_name, sizeof plan.origin_name, "%s", value);
    } else {
        fprintf(stderr, "load: what is %s?\n", key);
        exit(2);
    }
}

int main(int count, char **arguments) {
    make_pattern();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (count == 3 && !strcmp(arguments[1], "origin")) return origin(arguments[2]);
    if (count < 3 || strcmp(arguments[1], "run")) {
        fprintf(stderr, "usage: load origin ADDRESS | load run KEY=VALUE ...\n");
        return 2;
    }
    for (int i = 2; i < count; i++) {
        char *sign = strchr(arguments[i], '=');
        if (!sign) return 2;
        *sign = 0;
        read_option(arguments[i], sign + 1);
    }
    return run();
}
