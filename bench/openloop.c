/* A load generator that does not wait for the server it measures.
 *
 *   openloop --port N --path /v1/chat/completions --body WEIGHT:full|cancel:FILE [--body ...]
 *            [--header 'name: value'] [--connections N] [--rate R] [--poisson] [--seconds S] [--count N] [--seed N]
 *
 * --rate R sends R requests a second at times fixed in advance, evenly or (--poisson) with exponential gaps. Latency
 * counts from the *scheduled* time: a request that had to wait for a free connection waited, and the figure says so
 * (no coordinated omission). --rate 0 (the default) is a closed loop: each connection sends again when answered.
 * Bodies are drawn by weight; `cancel` hangs up after the third piece of the answer's body.
 * Prints one JSON object; times in microseconds. 127.0.0.1 only.
 */
#include "wire.h"
#include <math.h>

#define BUFFER 65536
#define KINDS 16
#define CANCEL_AFTER 3

enum State { IDLE, HEAD, LENGTH, SIZE, DATA, DATA_END, TRAILER, UNTIL_CLOSE };

typedef struct {
    char *text;
    size_t length;
    double weight;
    int cancel;
} Kind;

typedef struct {
    int fd;
    enum State state;
    Kind *kind;
    uint64_t since, first; /* scheduled time; first byte of the body */
    uint64_t left;         /* bytes left of the body or of the chunk */
    int status, pieces, line, reusable;
    size_t used;
    char head[BUFFER];
} Conn;

typedef struct {
    uint64_t *at;
    size_t count, room;
} Series;

static Kind kinds[KINDS];
static int kind_count, epoll_fd, port, idle_count, busy, connections = 1;
static Conn **idle;
static Series latency, first;
static uint64_t statuses[600], errors, cancelled, unsent, pieces, http_chunks, answers, reconnects;
static uint64_t random_state = 88172645463325252ull;
static double rate, seconds = 5;
static int poisson;
static uint64_t most; /* requests to send; 0: as many as fit the time */

static double uniform(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static void note(Series *s, uint64_t value) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        s->at = realloc(s->at, s->room * sizeof *s->at);
        if (!s->at) die("realloc");
    }
    s->at[s->count++] = value;
}

static void reopen(Conn *c) {
    struct sockaddr_in a = loopback(port);
    if (c->fd >= 0) close(c->fd);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0) die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    no_delay(c->fd);
    watch(epoll_fd, c->fd, c);
}

static void rest(Conn *c) {
    c->state = IDLE;
    busy--;
    idle[idle_count++] = c;
}

static void broken(Conn *c) {
    if (c->state != IDLE) {
        errors++;
        rest(c);
    }
    reconnects++;
    reopen(c);
}

static Kind *draw(void) {
    double at = uniform();
    for (int i = 0; i < kind_count - 1; i++) {
        if (at < kinds[i].weight) return &kinds[i];
        at -= kinds[i].weight;
    }
    return &kinds[kind_count - 1];
}

static void send_one(uint64_t scheduled) {
    Conn *c = idle[--idle_count];
    busy++;
    c->kind = draw();
    c->state = HEAD;
    c->since = scheduled;
    c->first = 0;
    c->pieces = 0;
    c->used = 0;
    /* A keep-alive connection the server has just closed fails here or at the first read: count it, do not hide it. */
    if (send(c->fd, c->kind->text, c->kind->length, MSG_NOSIGNAL) != (ssize_t)c->kind->length) broken(c);
}

static void answered(Conn *c) {
    uint64_t now = now_ns();
    answers++;
    statuses[c->status >= 0 && c->status < 600 ? c->status : 0]++;
    if (c->status == 200) {
        note(&latency, now - c->since);
        note(&first, (c->first ? c->first : now) - c->since);
    }
    rest(c);
    if (!c->reusable) {
        reconnects++;
        reopen(c);
    }
}

/* Reads the head when it is complete. Returns the bytes of `c->head` that belong to it, 0 if more are needed. */
static size_t take_head(Conn *c) {
    char *end = memmem(c->head, c->used, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t size = (size_t)(end - c->head) + 4;
    const char *length = header_value(c->head, size, "content-length:");
    const char *coding = header_value(c->head, size, "transfer-encoding:");
    const char *connection = header_value(c->head, size, "connection:");
    c->status = c->used > 12 ? atoi(c->head + 9) : 0;
    c->reusable = !(connection && strncasecmp(connection, "close", 5) == 0);
    c->left = length ? strtoull(length, NULL, 10) : 0;
    c->line = 0;
    if (coding && strncasecmp(coding, "chunked", 7) == 0) c->state = SIZE;
    else c->state = length ? LENGTH : UNTIL_CLOSE;
    return size;
}

static void size_byte(Conn *c, char b) {
    if (b == '\n') {
        c->state = c->left ? DATA : TRAILER;
        http_chunks += c->left > 0;
        c->line = 0;
    } else if (b != '\r' && c->line >= 0) {
        int digit = b >= '0' && b <= '9' ? b - '0' : (b | 32) >= 'a' && (b | 32) <= 'f' ? (b | 32) - 'a' + 10 : -1;
        if (digit < 0) c->line = -1; /* a chunk extension: skip to the end of the line */
        else c->left = c->left * 16 + (uint64_t)digit;
    }
}

static void line_byte(Conn *c, char b) {
    if (b == '\n') {
        if (c->state == DATA_END) c->state = SIZE;
        else if (c->line == 0) c->state = IDLE; /* an empty line ends the trailer, and with it the answer */
        c->line = 0;
    } else if (b != '\r') c->line++;
}

/* Takes body bytes; returns 1 when the answer is complete. */
static int take_body(Conn *c, const char *p, size_t n) {
    while (n > 0 && c->state != IDLE) {
        size_t step = 1;
        if (c->state == LENGTH || c->state == DATA) {
            step = n < c->left ? n : (size_t)c->left;
            c->left -= step;
            if (c->left == 0 && c->state == DATA) c->state = DATA_END;
            else if (c->left == 0) c->state = IDLE;
        } else if (c->state == SIZE) size_byte(c, *p);
        else if (c->state == UNTIL_CLOSE) step = n;
        else line_byte(c, *p);
        p += step;
        n -= step;
    }
    return c->state == IDLE || (c->state == LENGTH && c->left == 0);
}

static void body_came(Conn *c, const char *p, size_t n) {
    if (n > 0) {
        if (!c->first) c->first = now_ns();
        c->pieces++;
        pieces++;
    }
    int complete = take_body(c, p, n);
    if (complete) {
        c->state = HEAD; /* anything but IDLE: `rest` counts it down */
        answered(c);
    } else if (c->kind->cancel && c->pieces >= CANCEL_AFTER) {
        cancelled++;
        rest(c);
        reopen(c);
    }
}

static void closed(Conn *c) {
    if (c->state == UNTIL_CLOSE) {
        c->reusable = 0;
        answered(c);
    } else broken(c);
}

static void readable(Conn *c) {
    char buffer[BUFFER];
    char *into = c->state == HEAD ? c->head + c->used : buffer;
    size_t room = c->state == HEAD ? BUFFER - c->used : BUFFER;
    ssize_t n = recv(c->fd, into, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0 || c->state == IDLE) {
        closed(c);
        return;
    }
    if (c->state != HEAD) {
        body_came(c, buffer, (size_t)n);
        return;
    }
    c->used += (size_t)n;
    size_t size = take_head(c);
    if (size) body_came(c, c->head + size, c->used - size);
    else if (c->used == BUFFER) broken(c);
}

static void turn(int64_t timeout) {
    struct epoll_event events[512];
    int n = wait_ns(epoll_fd, events, 512, timeout);
    for (int i = 0; i < n; i++) readable(events[i].data.ptr);
}

/* Sends everything on schedule; what finds no free connection waits in line, its clock running. */
static uint64_t open_loop(uint64_t start) {
    uint64_t end = start + (uint64_t)(seconds * 1e9), sent = 0, grace = end + 5000000000ull;
    double due = (double)start, gap = 1e9 / rate;
    for (;;) {
        uint64_t now = now_ns();
        while (due < (double)end && due <= (double)now && idle_count > 0 && (!most || sent < most)) {
            send_one((uint64_t)due);
            sent++;
            due += poisson ? -log(1 - uniform()) * gap : gap;
        }
        int done = due >= (double)end || (most && sent >= most);
        if ((done && busy == 0) || now > grace) break;
        int64_t wait = due > (double)now ? (int64_t)(due - (double)now) : 0;
        turn(done || idle_count == 0 ? 100000000 : wait);
    }
    if (due < (double)end) unsent = (uint64_t)(((double)end - due) / gap);
    return sent;
}

static uint64_t closed_loop(uint64_t start) {
    uint64_t end = start + (uint64_t)(seconds * 1e9), sent = 0;
    for (;;) {
        uint64_t now = now_ns();
        int done = now >= end || (most && sent >= most);
        for (; !done && idle_count > 0 && (!most || sent < most); sent++) send_one(now_ns());
        if ((done && busy == 0) || now > end + 5000000000ull) return sent;
        turn(100000000);
    }
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double at(const Series *s, double share) {
    if (!s->count) return -1;
    size_t i = (size_t)ceil(share * (double)s->count);
    return (double)s->at[i ? i - 1 : 0] / 1000;
}

static void print_series(const char *name, Series *s) {
    double sum = 0;
    qsort(s->at, s->count, sizeof *s->at, ascending);
    for (size_t i = 0; i < s->count; i++) sum += (double)s->at[i] / 1000;
    printf("\"%s\":{\"count\":%zu,\"mean\":%.2f,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f},",
           name, s->count, s->count ? sum / (double)s->count : -1, at(s, .5), at(s, .9), at(s, .99), at(s, .999),
           at(s, 1));
}

static void report(uint64_t sent, double took) {
    int comma = 0;
    printf("{\"sent\":%llu,\"seconds\":%.4f,", (unsigned long long)sent, took);
    print_series("latency_us", &latency);
    print_series("first_us", &first);
    printf("\"status\":{");
    for (int i = 0; i < 600; i++)
        if (statuses[i]) printf("%s\"%d\":%llu", comma++ ? "," : "", i, (unsigned long long)statuses[i]);
    printf("},\"answers\":%llu,\"errors\":%llu,\"cancelled\":%llu,\"unfinished\":%d,\"unsent\":%llu,"
           "\"reconnects\":%llu,\"pieces\":%llu,\"http_chunks\":%llu}\n",
           (unsigned long long)answers, (unsigned long long)errors, (unsigned long long)cancelled, busy,
           (unsigned long long)unsent, (unsigned long long)reconnects, (unsigned long long)pieces,
           (unsigned long long)http_chunks);
}

static void load_body(char *spec, const char *path, const char *headers) {
    char how[16], file[1024], body[BUFFER];
    Kind *k = &kinds[kind_count++];
    if (kind_count > KINDS || sscanf(spec, "%lf:%15[^:]:%1023[^\n]", &k->weight, how, file) != 3) die("--body");
    FILE *f = fopen(file, "rb");
    if (!f) die(file);
    size_t n = fread(body, 1, sizeof body, f);
    fclose(f);
    k->cancel = strcmp(how, "cancel") == 0;
    k->text = malloc(n + 8192);
    int head = snprintf(k->text, 8192, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sContent-Length: %zu\r\n\r\n",
                        path, port, headers, n);
    if (head >= 8192) die("headers too long");
    memcpy(k->text + head, body, n);
    k->length = (size_t)head + n;
}

static void read_arguments(int argc, char **argv) {
    char headers[4096] = "Content-Type: application/json\r\n", *bodies[KINDS];
    const char *path = "/v1/chat/completions";
    int n = 0;
    double all = 0;
    for (int i = 1; i < argc; i++) {
        char *option = argv[i];
        if (strcmp(option, "--poisson") == 0) {
            poisson = 1;
            continue;
        }
        char *value = i + 1 < argc ? argv[++i] : "";
        if (strcmp(option, "--port") == 0) port = atoi(value);
        else if (strcmp(option, "--path") == 0) path = value;
        else if (strcmp(option, "--connections") == 0) connections = atoi(value);
        else if (strcmp(option, "--rate") == 0) rate = atof(value);
        else if (strcmp(option, "--seconds") == 0) seconds = atof(value);
        else if (strcmp(option, "--count") == 0) most = strtoull(value, NULL, 10);
        else if (strcmp(option, "--seed") == 0) random_state ^= strtoull(value, NULL, 10) * 2654435761ull;
        else if (strcmp(option, "--body") == 0 && n < KINDS) bodies[n++] = value;
        else if (strcmp(option, "--header") == 0 && strlen(headers) + strlen(value) + 3 < sizeof headers)
            strcat(strcat(headers, value), "\r\n");
        else {
            fprintf(stderr, "openloop: do not know %s\n", option);
            exit(2);
        }
    }
    for (int i = 0; i < n; i++) load_body(bodies[i], path, headers);
    for (int i = 0; i < n; i++) all += kinds[i].weight;
    for (int i = 0; i < n; i++) kinds[i].weight /= all;
    if (!n || !port || connections < 1) die("--port, --body and --connections are needed");
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    precise_timers();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    idle = calloc((size_t)connections, sizeof *idle);
    if (!idle) die("calloc");
    for (int i = 0; i < connections; i++) {
        Conn *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = -1;
        reopen(c);
        idle[idle_count++] = c;
    }
    uint64_t start = now_ns();
    uint64_t sent = rate > 0 ? open_loop(start) : closed_loop(start);
    report(sent, (double)(now_ns() - start) / 1e9);
    return 0;
}
