/* refuse.h: the n-th request of the program's own code for memory, or its n-th call to the system,
 * is refused, once or from then on. The Makefile names the same calls to the linker; where that
 * cannot wrap them (macOS), nothing is ever refused. */
#ifndef REFUSE_H
#define REFUSE_H

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oom.h"

typedef struct {
    size_t left;                /* requests until one is refused; 0: none is */
    bool for_good;
    size_t refused;
} refusal;

static refusal refuse_memory, refuse_system;
static bool refuse_arenas;              /* each request of an arena, which asks for blocks */
static int refuse_errno;                /* of the system's calls: EIO, EMFILE … */

static inline bool refused(refusal *r)
{
    if (r->left == 0 || --r->left > 0)
        return false;
    r->left = r->for_good;
    r->refused++;
    return true;
}

/* The names are the linker's. NOLINTBEGIN(*-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#ifdef __APPLE__
#define __real_realloc realloc
#else

static inline bool system_refused(void)
{
    if (!refused(&refuse_system))
        return false;
    errno = refuse_errno;
    return true;
}

#define WRAP(type, name, parameters, arguments, refuses, otherwise) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters { return refuses ? otherwise : __real_##name arguments; }

#define NO_MEMORY (oom_fail(err, OOM_NOMEM, "out of memory"), NULL)

WRAP(void *, malloc, (size_t n), (n), refused(&refuse_memory), NULL)
WRAP(void *, calloc, (size_t n, size_t each), (n, each), refused(&refuse_memory), NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), refused(&refuse_memory), NULL)
WRAP(void *, oom_arena_raw, (oom_arena *a, size_t n, oom_error *err), (a, n, err),
     refuse_arenas && refused(&refuse_memory), NO_MEMORY)
WRAP(void *, oom_arena_get, (oom_arena *a, size_t n, oom_error *err), (a, n, err),
     refuse_arenas && refused(&refuse_memory), NO_MEMORY)
WRAP(const char *, oom_arena_text, (oom_arena *a, const char *s, size_t n, oom_error *err),
     (a, s, n, err), refused(&refuse_memory), NO_MEMORY)

WRAP(int, fstat, (int fd, struct stat *st), (fd, st), system_refused(), -1)
WRAP(void *, mmap, (void *at, size_t n, int may, int flags, int fd, off_t from),
     (at, n, may, flags, fd, from), system_refused(), (void *)-1)
WRAP(DIR *, opendir, (const char *path), (path), system_refused(), NULL)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), system_refused(), NULL)
WRAP(FILE *, popen, (const char *command, const char *mode), (command, mode), system_refused(),
     NULL)
WRAP(size_t, fwrite, (const void *p, size_t each, size_t n, FILE *f), (p, each, n, f),
     system_refused(), 0)
WRAP(int, fflush, (FILE *f), (f), system_refused(), EOF)
WRAP(int, fsync, (int fd), (fd), system_refused(), -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), system_refused(), -1)

static bool reads_are_short;            /* one byte each */
WRAP(ssize_t, read, (int fd, void *to, size_t n), (fd, to, reads_are_short ? 1 : n),
     system_refused(), -1)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)       /* nothing here makes a file by it */
{
    return system_refused() ? -1 : __real_open(path, flags);
}

int __real_fclose(FILE *f);
int __wrap_fclose(FILE *f);
int __wrap_fclose(FILE *f)                              /* closes it all the same */
{
    bool refuse = system_refused();
    int error = errno, result = __real_fclose(f);

    errno = refuse ? error : errno;
    return refuse ? EOF : result;
}

#endif

/* NOLINTEND(*-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

#endif
