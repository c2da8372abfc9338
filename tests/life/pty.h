/* pty.h: a shell in a pseudo-terminal for who types much and looks at little: bytes go in, bytes
 * come out, and one waits for some text among them. For what a screen shows: tests/shell/replay.c. */
#ifndef PTY_H
#define PTY_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    pid_t pid;
    int fd;                     /* -1: the shell closed its end */
    size_t n;                   /* bytes in seen */
    char seen[1 << 20];         /* what came since the last pty_wait that succeeded, its end */
} pty;

static inline long pty_now_ms(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* How long to wait for what must come: half of what a test file may take (tests/run), so that what
 * did not come is told. A busy machine is slow, not broken. */
static inline int pty_patience_ms(void)
{
    const char *seconds = getenv("PATIENCE");

    return 500 * (seconds ? atoi(seconds) : 120);
}

/* Starts argv in a terminal of 80 x 24. The environment is what `set` says ("NAME=value", NULL at
 * the end) and nothing else. */
static inline bool pty_start(pty *p, const char *const argv[], const char *const set[])
{
    struct winsize size = { 24, 80, 0, 0 };

    p->n = 0;
    p->pid = forkpty(&p->fd, NULL, NULL, &size);
    if (p->pid == 0) {
        clearenv();
        for (size_t i = 0; set[i]; i++)
            putenv((char *)(uintptr_t)set[i]);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (p->pid > 0)
        fcntl(p->fd, F_SETFD, FD_CLOEXEC);      /* another shell must not keep this one's open */
    return p->pid > 0;
}

/* Takes in what the shell wrote, waiting up to `ms` for it; false when nothing came. */
static inline bool pty_read(pty *p, int ms)
{
    struct pollfd ready = { p->fd, POLLIN, 0 };
    ssize_t n;

    if (p->fd < 0 || poll(&ready, 1, ms) <= 0)
        return false;
    if (p->n > sizeof p->seen / 2) {            /* the older half is forgotten */
        memmove(p->seen, p->seen + p->n - sizeof p->seen / 4, sizeof p->seen / 4);
        p->n = sizeof p->seen / 4;
    }
    n = read(p->fd, p->seen + p->n, sizeof p->seen - p->n - 1);
    if (n <= 0) {
        close(p->fd);
        p->fd = -1;
        return false;
    }
    p->n += (size_t)n;
    p->seen[p->n] = 0;
    return true;
}

/* Types `n` bytes, and reads meanwhile: both ends would wait for each other. */
static inline void pty_type_bytes(pty *p, const char *s, size_t n)
{
    while (n > 0 && p->fd >= 0) {
        struct pollfd ready = { p->fd, POLLIN | POLLOUT, 0 };
        ssize_t written = 0;

        if (poll(&ready, 1, pty_patience_ms()) <= 0)
            return;
        if (ready.revents & (POLLIN | POLLHUP | POLLERR))
            pty_read(p, 0);
        else if (ready.revents & POLLOUT)
            written = write(p->fd, s, n > 256 ? 256 : n);
        if (written < 0)
            return;
        s += written;
        n -= (size_t)written;
    }
}

static inline void pty_type(pty *p, const char *s)
{
    pty_type_bytes(p, s, strlen(s));
}

/* Waits until `text` was written; what came up to its end is forgotten. */
static inline bool pty_wait_for(pty *p, const char *text, int ms)
{
    long until = pty_now_ms() + ms;

    for (;;) {
        char *at = p->n ? memmem(p->seen, p->n, text, strlen(text)) : NULL;

        if (at) {
            size_t used = (size_t)(at - p->seen) + strlen(text);

            p->n -= used;
            memmove(p->seen, p->seen + used, p->n);
            return true;
        }
        if (p->fd < 0 || pty_now_ms() >= until)
            return false;
        pty_read(p, 50);
    }
}

static inline bool pty_wait(pty *p, const char *text)
{
    return pty_wait_for(p, text, pty_patience_ms());
}

/* A question whose answer is in nothing that is typed: everything before it was run. */
static inline bool pty_answers_in(pty *p, unsigned long n, int ms)
{
    char line[64], answer[32];

    snprintf(line, sizeof line, "\"<\" .. %lu .. \">\"\r", n);
    snprintf(answer, sizeof answer, "<%lu>", n);
    pty_type(p, line);
    return pty_wait_for(p, answer, ms);
}

static inline bool pty_answers(pty *p, unsigned long n)
{
    return pty_answers_in(p, n, pty_patience_ms());
}

/* Waits for the end: the exit status, 128 + the signal, or -1 when it goes on. */
static inline int pty_status_in(pty *p, int ms)
{
    long until = pty_now_ms() + ms;
    int status = 0;

    while (waitpid(p->pid, &status, WNOHANG) == 0) {
        if (pty_now_ms() >= until)
            return -1;
        if (!pty_read(p, 2) && p->fd < 0)
            poll(NULL, 0, 1);
    }
    while (pty_read(p, 0))
        continue;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline int pty_status(pty *p) { return pty_status_in(p, pty_patience_ms()); }

#endif
