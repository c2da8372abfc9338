/* gguf.c: the GGUF container, versions 1 to 3, in both byte orders. It walks the header once,
 * keeps where things are, and skips tokenizer lists without looking at their strings. What the
 * keys mean, gguf_model.c knows.
 *
 * Layout (ggml, docs/gguf.md): "GGUF", version, number of tensors, number of keys, the keys, the
 * tensor infos, padding to general.alignment, data. Version 1 has 32-bit counts and lengths. */
#include "gguf.h"
#include "num.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Far beyond every published file, and little enough that a header of zeros in a huge sparse
 * file is refused at once: the largest vocabularies have 262144 entries, twice as many merges. */
#define MAX_ENTRIES 65536u
#define MAX_ITEMS 4000000u
#define MAX_TENSORS 1000000u
#define MAX_NAME 512u

typedef struct {
    gguf_header *h;
    const unsigned char *bytes;
    size_t n, at;
    oom_arena *work;
    oom_error *err;
    oom_status status;              /* first failure */
} cursor;

static void broken(cursor *c, const char *what)
{
    if (c->status == OOM_OK)
        c->status = oom_fail(c->err, OOM_BADFILE, "%s: byte %zu: %s", c->h->name, c->at, what);
}

/* `n` more bytes, or NULL when the file ends before. */
static const unsigned char *take(cursor *c, uint64_t n)
{
    const unsigned char *p = c->bytes + c->at;

    if (c->status != OOM_OK)
        return NULL;
    if (n > c->n - c->at) {
        broken(c, "the header goes on past the end of the file");
        return NULL;
    }
    c->at += (size_t)n;
    return p;
}

/* An unsigned number of `size` bytes at `p`. */
static uint64_t number_at(const unsigned char *p, size_t size, bool big_endian)
{
    uint64_t v = 0;

    for (size_t i = 0; i < size; i++)
        v = v << 8 | p[big_endian ? i : size - 1 - i];
    return v;
}

static uint64_t number(cursor *c, size_t size)
{
    const unsigned char *p = take(c, size);

    return p ? number_at(p, size, c->h->big_endian) : 0;
}

static size_t count_bytes(const gguf_header *h) { return h->version == 1 ? 4 : 8; }

static gguf_text text(cursor *c)
{
    uint64_t n = number(c, count_bytes(c->h));
    const unsigned char *p = take(c, n);

    return p ? (gguf_text){ (const char *)p, (size_t)n } : (gguf_text){ "", 0 };
}

static size_t type_bytes(gguf_type t)
{
    static const unsigned char size[GGUF_TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

    return size[t];
}

static gguf_type value_type(cursor *c)
{
    uint64_t t = number(c, 4);

    if (t >= GGUF_TYPES) {
        broken(c, "a value of a type that GGUF does not have");
        return GGUF_U8;
    }
    return (gguf_type)t;
}

static void list(cursor *c, gguf_entry *e)
{
    e->is_list = true;
    e->type = value_type(c);
    e->n = number(c, count_bytes(c->h));
    if (e->type == GGUF_ARRAY)
        broken(c, "a list of lists");
    else if (e->n > MAX_ITEMS)
        broken(c, "a list of more than 4 million items");
    e->data = c->bytes + c->at;
    if (e->type != GGUF_STRING)
        take(c, e->n * type_bytes(e->type));
    else
        for (uint64_t i = 0; i < e->n && c->status == OOM_OK; i++)
            text(c);
}

static void entry(cursor *c, gguf_entry *e)
{
    *e = (gguf_entry){ .key = text(c), .n = 1 };
    if (e->key.n == 0 || e->key.n > MAX_NAME)
        broken(c, "a key of no or more than 512 bytes");
    e->type = value_type(c);
    if (e->type == GGUF_ARRAY) {
        list(c, e);
    } else if (e->type == GGUF_STRING) {
        gguf_text t = text(c);

        e->data = (const unsigned char *)t.text;
        e->text_bytes = t.n;
    } else {
        e->data = take(c, type_bytes(e->type));
    }
}

/* Room for one more, within the work arena. */
static void *grown(cursor *c, void *items, size_t n, size_t each)
{
    void *more;

    if (n == 0 || (n >= 64 && (n & (n - 1)) == 0)) {        /* at 0, 64, 128 … */
        more = oom_arena_get(c->work, (n ? n * 2 : 64) * each, c->err);
        if (!more)
            c->status = OOM_NOMEM;
        else if (n)
            memcpy(more, items, n * each);
        return more;
    }
    return items;
}

/* ---- the tensors ---- */

static void bad_tensor(cursor *c, const gguf_tensor *t, const char *what)
{
    char quoted[128];

    oom_text_quote(t->name.text, t->name.n, quoted, sizeof quoted);
    if (c->status == OOM_OK)
        c->status = oom_fail(c->err, OOM_BADFILE, "%s: tensor \"%s\": %s", c->h->name, quoted,
                             what);
}

/* Types 31 to 33 and 36 to 38 were q4_0 and iq4_nl with their rows interleaved; same sizes. */
static const oom_format *format_of(uint64_t id)
{
    if (id >= 31 && id <= 33)
        id = 2;
    if (id >= 36 && id <= 38)
        id = 20;
    return id <= INT32_MAX ? oom_format_by_ggml_id((int32_t)id) : NULL;
}

/* UTF-8 without control characters: names are shown. */
static bool is_plain(gguf_text t)
{
    const unsigned char *s = (const unsigned char *)t.text;
    uint32_t code;

    for (size_t i = 0, len; i < t.n; i += len)
        if ((len = utf8_next(s + i, t.n - i, &code)) == 0 || code < 0x20 ||
            (code >= 0x7f && code < 0xa0))
            return false;
    return true;
}

static void tensor(cursor *c, gguf_tensor *t)
{
    uint64_t type, rows = 1;

    *t = (gguf_tensor){ .name = text(c) };
    if (t->name.n == 0 || t->name.n > MAX_NAME || !is_plain(t->name))
        broken(c, "a tensor's name is empty, longer than 512 bytes or no plain text");
    t->n_dims = (uint32_t)number(c, 4);
    if (t->n_dims < 1 || t->n_dims > 4)
        bad_tensor(c, t, "expected 1 to 4 dimensions");
    for (uint32_t i = 0; i < t->n_dims && c->status == OOM_OK; i++) {
        t->dims[i] = number(c, count_bytes(c->h));
        if (t->dims[i] == 0)
            bad_tensor(c, t, "a dimension of length 0");
        if (i > 0 && !mul_u64(rows, t->dims[i], &rows))
            bad_tensor(c, t, "more than 2^63 elements");
    }
    type = number(c, 4);
    t->offset = number(c, 8);
    if (c->status != OOM_OK)
        return;
    t->format = format_of(type);
    if (!t->format)
        bad_tensor(c, t, "its type is not one of ggml's");
    else if (t->dims[0] % t->format->block != 0)
        bad_tensor(c, t, "its rows are no whole number of blocks");
    else if (oom_format_row_bytes(t->format, t->dims[0], &t->bytes, NULL) != OOM_OK ||
             !mul_u64(t->bytes, rows, &t->bytes))
        bad_tensor(c, t, "larger than 2^63 bytes");
}

static int order_of(gguf_text x, gguf_text y)
{
    return x.n != y.n ? (x.n < y.n ? -1 : 1) : memcmp(x.text, y.text, x.n);
}

static int by_key(const void *a, const void *b)
{
    return order_of((*(const gguf_entry *const *)a)->key, (*(const gguf_entry *const *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return order_of((*(const gguf_tensor *const *)a)->name, (*(const gguf_tensor *const *)b)->name);
}

static int by_offset(const void *a, const void *b)
{
    const gguf_tensor *x = *(const gguf_tensor *const *)a, *y = *(const gguf_tensor *const *)b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* A key that is there twice has no one value. Sorted, they are found again at once. */
static void check_keys(cursor *c)
{
    size_t n = c->h->n_entries;
    const gguf_entry **sorted = oom_arena_get(c->work, n * sizeof *sorted, c->err);
    char quoted[128];

    if (!sorted) {
        c->status = OOM_NOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &c->h->entries[i];
    qsort(sorted, n, sizeof *sorted, by_key);
    for (size_t i = 1; i < n; i++)
        if (by_key(&sorted[i - 1], &sorted[i]) == 0) {
            c->status = oom_fail(c->err, OOM_BADFILE, "%s: \"%s\" is there twice", c->h->name,
                                 oom_text_quote(sorted[i]->key.text, sorted[i]->key.n, quoted,
                                                sizeof quoted));
            return;
        }
    c->h->by_key = sorted;
}

/* Names once, data within the file and apart. */
static void check_tensors(cursor *c, uint64_t data_start)
{
    size_t n = c->h->n_tensors;
    const gguf_tensor **sorted = oom_arena_get(c->work, n * sizeof *sorted, c->err);

    if (!sorted) {
        c->status = OOM_NOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = &c->h->tensors[i];
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0) {
            bad_tensor(c, sorted[i], "is there twice");
            return;
        }
    qsort(sorted, n, sizeof *sorted, by_offset);
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = sorted[i];
        uint64_t end;

        if (!add_u64(t->offset, t->bytes, &end) || data_start > c->n || end > c->n - data_start) {
            bad_tensor(c, t, "its data goes on past the end of the file");
            return;
        }
        if (i + 1 < n && sorted[i + 1]->offset < end) {
            bad_tensor(c, sorted[i + 1], "its data overlaps another tensor's");
            return;
        }
    }
}

/* ---- the whole ---- */

static void preamble(cursor *c, uint64_t *n_tensors, uint64_t *n_entries)
{
    const unsigned char *magic = take(c, 4);
    uint64_t version;

    if (!magic || memcmp(magic, "GGUF", 4) != 0) {
        c->status = oom_fail(c->err, OOM_BADFILE, "%s: not a GGUF file", c->h->name);
        return;
    }
    version = number(c, 4);
    if (c->status == OOM_OK && (version & 0xffff) == 0) {       /* 3 in the other byte order */
        c->h->big_endian = true;
        c->at -= 4;
        version = number(c, 4);
    }
    c->h->version = (uint32_t)version;
    *n_tensors = number(c, count_bytes(c->h));
    *n_entries = number(c, count_bytes(c->h));
    if (c->status == OOM_OK && (version < 1 || version > 3))
        c->status = oom_fail(c->err, OOM_BADFILE, "%s: GGUF version %llu, expected 1, 2 or 3",
                             c->h->name, (unsigned long long)version);
    else if (*n_tensors > MAX_TENSORS)
        broken(c, "more than a million tensors");
    else if (*n_entries > MAX_ENTRIES)
        broken(c, "more than 65536 keys");
}

oom_status gguf_parse(oom_arena *work, const read_part *part, gguf_header *h, oom_error *err)
{
    cursor c = { h, part->bytes, part->n, 0, work, err, OOM_OK };
    uint64_t n_tensors = 0, n_entries = 0, alignment = 32;
    const gguf_entry *e;

    *h = (gguf_header){ .name = part->name };
    preamble(&c, &n_tensors, &n_entries);
    while (c.status == OOM_OK && h->n_entries < n_entries) {
        h->entries = grown(&c, h->entries, h->n_entries, sizeof *h->entries);
        if (c.status == OOM_OK)
            entry(&c, &h->entries[h->n_entries++]);
    }
    while (c.status == OOM_OK && h->n_tensors < n_tensors) {
        h->tensors = grown(&c, h->tensors, h->n_tensors, sizeof *h->tensors);
        if (c.status == OOM_OK)
            tensor(&c, &h->tensors[h->n_tensors++]);
    }
    if (c.status == OOM_OK)
        check_keys(&c);
    if (c.status != OOM_OK)
        return c.status;
    e = gguf_find(h, "general.alignment");
    if (e && (!gguf_uint(h, e, 0, &alignment) || alignment == 0 || alignment > 1u << 30
              || (alignment & (alignment - 1)) != 0))
        return oom_fail(err, OOM_BADFILE, "%s: general.alignment is no power of two", h->name);
    check_tensors(&c, pad_up(c.at, alignment));
    return c.status;
}

const gguf_entry *gguf_find(const gguf_header *h, const char *key)
{
    const gguf_entry wanted = { .key = { key, strlen(key) } }, *p = &wanted;
    const gguf_entry **found = h->n_entries ? bsearch(&p, h->by_key, h->n_entries,
                                                      sizeof *h->by_key, by_key) : NULL;

    return found ? *found : NULL;
}

bool gguf_text_is(gguf_text t, const char *s)
{
    return strlen(s) == t.n && memcmp(t.text, s, t.n) == 0;
}

bool gguf_uint(const gguf_header *h, const gguf_entry *e, uint64_t i, uint64_t *out)
{
    size_t size;
    uint64_t v, sign;

    if (!e || e->type == GGUF_STRING || e->type == GGUF_F32 || e->type == GGUF_F64)
        return false;
    if (e->is_list && i >= e->n)
        return false;
    size = type_bytes(e->type);
    v = number_at(e->data + (e->is_list ? i * size : 0), size, h->big_endian);
    sign = (uint64_t)1 << (size * 8 - 1);
    if ((v & sign) && (e->type == GGUF_I8 || e->type == GGUF_I16 || e->type == GGUF_I32))
        return false;
    *out = v;
    return v <= INT64_MAX;
}
