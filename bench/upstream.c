/* An OpenAI-compatible upstream that costs almost nothing: the part nginx cannot play.
 *
 *   upstream --port N [--gap-us N]
 *
 * One thread, epoll, 127.0.0.1 only. Answers POST with one chat completion of about 1 KB; if the body asks for
 * "stream":true, with 50 server-sent events, each its own HTTP chunk, its own write and (TCP_NODELAY) its own
 * packet, `gap` microseconds apart, then finish, usage if asked for, and [DONE].
 * `GET /gap/N` changes the gap; any other GET answers 200 (readiness).
 * A marker in the body misbehaves on purpose: bench-fail-500, bench-fail-429, bench-reset (closes without an
 * answer), bench-cut (closes after half of the stream), bench-slow (1 ms between the chunks, whatever the gap).
 * Every answer fits the socket buffer, so a short write means that the reader is gone and the connection is closed.
 */
#include "wire.h"

#define CHUNKS 50
#define MOST 4096
#define INPUT 65536

typedef struct {
    int fd;
    size_t used;
    int left;          /* chunks still to send; -1: no stream in flight */
    int cut_at;        /* closes when this many are left; -1: never */
    int usage;
    int slot;          /* place in `streams` */
    uint64_t due;
    uint64_t gap;
    char input[INPUT];
} Conn;

static int epoll_fd;
static int64_t gap_ns;
static Conn *streams[MOST];
static int streaming;
static char unary[4096], failed_500[512], failed_429[512];
static char first_chunk[1024], next_chunk[1024], last_chunk[2048], last_with_usage[2048];

static const char *STREAM_HEAD =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

#define EVENT(delta, finish, tail) \
    "data: {\"id\":\"chatcmpl-bench0000000000000000000000\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1760000000,\"model\":\"bench-model-1\",\"system_fingerprint\":\"fp_bench\"," \
    "\"choices\":[" delta finish "]" tail "}\n\n"
#define CHOICE(delta, finish) "{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" finish "}"
#define USAGE "{\"prompt_tokens\":180,\"completion_tokens\":50,\"total_tokens\":230}"

static void as_chunk(char *out, size_t room, const char *events, const char *end) {
    snprintf(out, room, "%zx\r\n%s\r\n%s", strlen(events), events, end);
}

static void as_answer(char *out, size_t room, const char *status, const char *body) {
    snprintf(out, room,
             "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
}

static void prepare_answers(void) {
    char words[640], body[1500];
    size_t n = 0;
    while (n + 8 < 620) n += (size_t)snprintf(words + n, sizeof words - n, "points ");
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-bench0000000000000000000000\",\"object\":\"chat.completion\","
             "\"created\":1760000000,\"model\":\"bench-model-1\",\"choices\":[{\"index\":0,\"message\":"
             "{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,"
             "\"finish_reason\":\"stop\"}],\"usage\":" USAGE ",\"system_fingerprint\":\"fp_bench\"}", words);
    as_answer(unary, sizeof unary, "200 OK", body);
    as_answer(failed_500, sizeof failed_500, "500 Internal Server Error",
              "{\"error\":{\"message\":\"bench\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    as_answer(failed_429, sizeof failed_429, "429 Too Many Requests\r\nRetry-After: 0",
              "{\"error\":{\"message\":\"bench\",\"type\":\"rate_limit\",\"param\":null,\"code\":null}}");
    as_chunk(first_chunk, sizeof first_chunk,
             EVENT(CHOICE("\"role\":\"assistant\",\"content\":\"\"", "null"), "", ""), "");
    as_chunk(next_chunk, sizeof next_chunk, EVENT(CHOICE("\"content\":\" points\"", "null"), "", ""), "");
    as_chunk(last_chunk, sizeof last_chunk, EVENT(CHOICE("", "\"stop\""), "", "") "data: [DONE]\n\n", "0\r\n\r\n");
    as_chunk(last_with_usage, sizeof last_with_usage,
             EVENT(CHOICE("", "\"stop\""), "", "") EVENT("", "", ",\"usage\":" USAGE) "data: [DONE]\n\n",
             "0\r\n\r\n");
}

static void stream_ends(Conn *c) {
    if (c->left < 0) return;
    c->left = -1;
    streams[c->slot] = streams[--streaming];
    streams[c->slot]->slot = c->slot;
}

static void drop(Conn *c) {
    stream_ends(c);
    close(c->fd);
    c->fd = -1; /* freed after this batch of events */
}

static int say(Conn *c, const char *text, size_t length) {
    if (send(c->fd, text, length, MSG_NOSIGNAL) == (ssize_t)length) return 1;
    drop(c);
    return 0;
}

static int has(const char *body, size_t length, const char *what) {
    return memmem(body, length, what, strlen(what)) != NULL;
}

static void stream_begins(Conn *c, const char *body, size_t length) {
    if (streaming == MOST || !say(c, STREAM_HEAD, strlen(STREAM_HEAD))) return;
    c->left = CHUNKS + 1;
    c->cut_at = has(body, length, "bench-cut") ? CHUNKS / 2 : -1;
    c->gap = has(body, length, "bench-slow") ? 1000000 : (uint64_t)gap_ns;
    c->usage = has(body, length, "\"include_usage\":true") || has(body, length, "\"include_usage\": true");
    c->due = now_ns();
    c->slot = streaming;
    streams[streaming++] = c;
}

static void chunk_is_due(Conn *c) {
    const char *text = c->left == CHUNKS + 1 ? first_chunk : next_chunk;
    if (c->left == 1) text = c->usage ? last_with_usage : last_chunk;
    if (c->left == c->cut_at) {
        drop(c);
        return;
    }
    if (!say(c, text, strlen(text))) return;
    if (--c->left == 0) stream_ends(c);
    else c->due += c->gap;
}

static void answer(Conn *c, const char *head, const char *body, size_t length) {
    if (strncmp(head, "GET /gap/", 9) == 0) gap_ns = atoll(head + 9) * 1000;
    if (has(body, length, "bench-reset")) drop(c);
    else if (has(body, length, "bench-fail-500")) say(c, failed_500, strlen(failed_500));
    else if (has(body, length, "bench-fail-429")) say(c, failed_429, strlen(failed_429));
    else if (has(body, length, "\"stream\":true") || has(body, length, "\"stream\": true"))
        stream_begins(c, body, length);
    else say(c, unary, strlen(unary));
}

/* Takes one whole request out of the input, if there is one. */
static int take_request(Conn *c) {
    char *end = memmem(c->input, c->used, "\r\n\r\n", 4);
    if (!end || c->left >= 0) return 0;
    size_t head = (size_t)(end - c->input) + 4;
    const char *length = header_value(c->input, head, "content-length:");
    size_t body = length ? strtoul(length, NULL, 10) : 0;
    if (head + body > INPUT) {
        drop(c);
        return 0;
    }
    if (c->used < head + body) return 0;
    answer(c, c->input, c->input + head, body);
    if (c->fd < 0) return 0;
    c->used -= head + body;
    memmove(c->input, c->input + head + body, c->used);
    return 1;
}

static void readable(Conn *c) {
    ssize_t n = recv(c->fd, c->input + c->used, INPUT - c->used, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->used += (size_t)n;
    while (c->fd >= 0 && take_request(c)) {
    }
}

static void welcome(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        Conn *c = malloc(sizeof *c);
        if (!c) die("malloc");
        c->fd = fd;
        c->used = 0;
        c->left = -1;
        no_delay(fd);
        watch(epoll_fd, fd, c);
    }
}

static int listen_on(int port) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0) die("listen");
    return fd;
}

/* Sends what is due, one chunk a connection and pass, so that no stream runs ahead of the others.
 * Returns how long nothing else will be due: -1 for ever. */
static int64_t send_due_chunks(void) {
    int64_t soonest = -1;
    uint64_t now = now_ns();
    for (int i = streaming - 1; i >= 0; i--) {
        Conn *c = streams[i];
        if (c->due <= now) chunk_is_due(c);
        if (c->fd < 0) free(c);
        else if (c->left > 0) {
            int64_t wait = c->due > now ? (int64_t)(c->due - now) : 0;
            if (soonest < 0 || wait < soonest) soonest = wait;
        }
    }
    return soonest;
}

int main(int argc, char **argv) {
    int port = 0;
    struct epoll_event events[256];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0) port = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--gap-us") == 0) gap_ns = atoll(argv[i + 1]) * 1000;
    }
    precise_timers();
    prepare_answers();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(port);
    watch(epoll_fd, listener, NULL);
    for (;;) {
        int n = wait_ns(epoll_fd, events, 256, send_due_chunks());
        for (int i = 0; i < n; i++) {
            Conn *c = events[i].data.ptr;
            if (!c) welcome(listener);
            else {
                readable(c);
                if (c->fd < 0) free(c);
            }
        }
    }
}
