/* scratch.h: files in a folder of a test's own. After <cmocka.h>. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

static inline bool scratch_begin(void)
{
    strcpy(scratch, "/tmp/oomph-test-XXXXXX");
    return mkdtemp(scratch) != NULL;
}

static inline bool scratch_end(void)
{
    char command[96];

    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    return system(command) == 0;
}

/* The path of a name in it; good for the next three calls. */
static inline const char *scratch_at(const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *s = path[next++ % 4];

    snprintf(s, sizeof *path, "%s/%s", scratch, name);
    return s;
}

/* A file of `size` bytes, of which the first n are written; makes the folders above it. */
static inline void scratch_put(const char *name, const void *bytes, size_t n, uint64_t size)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", scratch, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static inline void scratch_text(const char *name, const char *text)
{
    scratch_put(name, text, strlen(text), strlen(text));
}

#endif
