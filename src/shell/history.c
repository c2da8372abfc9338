/* history.c: what was typed, kept over sessions. Every block is appended at once, in one write
 * under a lock, so that two shells keep each other's lines and a kill loses nothing. With the time
 * before each entry a block of several lines comes back as one. */
#include "shell.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if OOMPH_READLINE
#include <readline/history.h>
#endif

#define DEFAULT_ENTRIES 10000

static char file[1024];                 /* empty: keep nothing */
static char *last;                      /* to leave out a repetition */

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

/* Another file has the name by now: a shell that shortened it put a new one in its place. */
static bool replaced(int fd)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && stat(file, &named) == 0 &&
           (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev);
}

/* Opens the file locked; -1 where there is none to have (a read-only home says nothing). */
static int open_locked(void)
{
    for (;;) {
        int fd = *file ? open(file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

        while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
            continue;
        if (fd < 0 || !replaced(fd))
            return fd;
        close(fd);
    }
}

/* One entry, whole or not at all: the disk may be full. */
static void append_whole(int fd, const char *entry, size_t n)
{
    off_t end = lseek(fd, 0, SEEK_END);

    if (write(fd, entry, n) != (ssize_t)n && end >= 0)
        (void)!ftruncate(fd, end);
}

/* OOMPH_HISTORY_SIZE entries; 0 keeps none. */
static int limit(void)
{
    const char *text = getenv("OOMPH_HISTORY_SIZE");
    char *end;
    long n;

    if (!text || !*text)
        return DEFAULT_ENTRIES;
    n = strtol(text, &end, 10);
    return *end || n < 0 || n > 10000000 ? DEFAULT_ENTRIES : (int)n;
}

void history_open(bool keep)
{
    const char *named = getenv("OOMPH_HISTORY"), *dir = lookup_state_dir();
    int n = 0;

    if (keep && limit() > 0) {
        if (named)
            n = snprintf(file, sizeof file, "%s", named);
        else if (dir)
            n = snprintf(file, sizeof file, "%s/history", dir);
    }
    if (n <= 0 || (size_t)n >= sizeof file)
        *file = 0;
    if (*file && !named)
        make_folders(file);
#if OOMPH_READLINE
    history_comment_char = '#';         /* before the first entry, or blocks fall apart */
    history_write_timestamps = 1;
#endif
}

void history_load(void)
{
#if OOMPH_READLINE
    static bool loaded;
    int fd = loaded ? -1 : open_locked(), entries;

    loaded = true;
    if (fd < 0)
        return;
    read_history(file);
    entries = history_length;
    stifle_history(limit());
    if (entries > limit() + limit() / 10)       /* not at every start */
        write_history(file);            /* atomic: a temporary file, renamed */
    using_history();                    /* Up begins at the newest */
    close(fd);
#endif
}

void history_add_block(const char *text)
{
    char *entry;
    int n, fd;

    if (isspace((unsigned char)*text) || !*text || (last && !strcmp(text, last)))
        return;                         /* a leading blank is private */
    free(last);
    last = strdup(text);
#if OOMPH_READLINE
    add_history(text);
#endif
    fd = open_locked();
    if (fd < 0)
        return;
    n = asprintf(&entry, "#%lld\n%s\n", (long long)time(NULL), text);
    if (n > 0) {
        append_whole(fd, entry, (size_t)n);
        free(entry);
    }
    close(fd);
}

const char *history_before(void)
{
#if OOMPH_READLINE
    const HIST_ENTRY *entry = history_get(history_base + history_length - 2);

    return entry ? entry->line : NULL;
#else
    return NULL;
#endif
}
