/* arena.c: one owner per model. Allocation is a bump in a chunk; freeing is all at once.
 * The memory handed out is zeroed, unless it is asked for raw, and aligned for any type. */
#include "oom.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)16 * 1024)     /* a dense model's inventory takes two to four */
#define ALIGN _Alignof(max_align_t)

typedef struct chunk {
    struct chunk *next;
    size_t bytes, used;         /* of the data behind this header */
} chunk;

struct oom_arena {
    oom_alloc alloc;
    chunk *first;
    size_t bytes;
};

static void *libc_resize(void *ctx, void *p, size_t old_bytes, size_t new_bytes)
{
    (void)ctx;
    (void)old_bytes;
    if (new_bytes == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, new_bytes);
}

const oom_alloc oom_libc_alloc = { libc_resize, NULL };

static size_t round_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

oom_arena *oom_arena_new(const oom_alloc *a, oom_error *err)
{
    oom_arena *arena = a->resize(a->ctx, NULL, 0, sizeof *arena);

    if (!arena) {
        oom_fail(err, OOM_NOMEM, "out of memory");
        return NULL;
    }
    *arena = (oom_arena){ .alloc = *a };
    return arena;
}

void oom_arena_free(oom_arena *arena)
{
    oom_alloc a;

    if (!arena)
        return;
    a = arena->alloc;
    for (chunk *c = arena->first; c;) {
        chunk *next = c->next;

        a.resize(a.ctx, c, round_up(sizeof *c) + c->bytes, 0);
        c = next;
    }
    a.resize(a.ctx, arena, sizeof *arena, 0);
}

static chunk *add_chunk(oom_arena *arena, size_t bytes)
{
    size_t header = round_up(sizeof(chunk));
    size_t data = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    chunk *c;

    c = arena->alloc.resize(arena->alloc.ctx, NULL, 0, header + data);
    if (!c)
        return NULL;
    *c = (chunk){ .bytes = data };
    /* a block of its own size goes second, so that the first keeps its room */
    if (bytes > CHUNK_BYTES && arena->first) {
        c->next = arena->first->next;
        arena->first->next = c;
    } else {
        c->next = arena->first;
        arena->first = c;
    }
    arena->bytes += header + data;
    return c;
}

void *oom_arena_raw(oom_arena *arena, size_t bytes, oom_error *err)
{
    chunk *c = arena->first;
    size_t need = round_up(bytes ? bytes : 1);
    void *p;

    if (bytes > SIZE_MAX / 2)
        c = NULL;
    else if (!c || c->bytes - c->used < need)
        c = add_chunk(arena, need);
    if (!c) {
        oom_fail(err, OOM_NOMEM, "out of memory");
        return NULL;
    }
    p = (char *)c + round_up(sizeof *c) + c->used;
    c->used += need;
    return p;
}

void *oom_arena_get(oom_arena *arena, size_t bytes, oom_error *err)
{
    void *p = oom_arena_raw(arena, bytes, err);

    return p ? memset(p, 0, bytes) : NULL;
}

const char *oom_arena_text(oom_arena *arena, const char *s, size_t len, oom_error *err)
{
    char *copy = oom_arena_get(arena, len + 1, err);

    if (copy)
        memcpy(copy, s, len);
    return copy;
}

size_t oom_arena_bytes(const oom_arena *arena) { return arena->bytes; }
const oom_alloc *oom_arena_alloc(const oom_arena *arena) { return &arena->alloc; }
