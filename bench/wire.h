/* What the upstream and the load generator share: a nanosecond clock, a precise wait, small socket helpers. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* epoll_wait knows milliseconds only; a schedule of 1,000 requests a second needs better. -1 waits for ever. */
static inline int wait_ns(int epoll_fd, struct epoll_event *events, int most, int64_t timeout_ns) {
    struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    long n = syscall(SYS_epoll_pwait2, epoll_fd, events, most, timeout_ns < 0 ? NULL : &t, NULL, 0);
    if (n < 0 && errno != EINTR) die("epoll_pwait2");
    return n < 0 ? 0 : (int)n;
}

/* The kernel rounds sleeps up by 50 us unless told otherwise. */
static inline void precise_timers(void) { prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0); }

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((uint16_t)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static inline void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline void watch(int epoll_fd, int fd, void *owner) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = owner};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
}

/* Value of header `name` ("content-length:") inside head[0..length), or NULL. */
static inline const char *header_value(const char *head, size_t length, const char *name) {
    size_t n = strlen(name);
    for (const char *p = head; p && p + n < head + length;) {
        if (strncasecmp(p, name, n) == 0) {
            p += n;
            while (*p == ' ') p++;
            return p;
        }
        p = memchr(p, '\n', (size_t)(head + length - p));
        if (p) p++;
    }
    return NULL;
}

#endif
