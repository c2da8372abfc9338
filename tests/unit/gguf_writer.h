/* gguf_writer.h: writes GGUF headers into a buffer, for tests. Any version and byte order; a
 * tensor's data is counted, not written. */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    unsigned char *bytes;           /* the file so far: its keys */
    size_t n, cap;
    unsigned char *infos;           /* the tensors' infos, until the end */
    size_t n_infos, cap_infos;
    int in_infos;
    size_t keys_at, tensors_at;     /* where the counts stand */
    uint64_t n_keys, n_tensors, data_bytes;
    uint32_t version;
    int big;
} gguf_writer;

static inline void put_bytes(gguf_writer *w, const void *p, size_t n)
{
    unsigned char **to = w->in_infos ? &w->infos : &w->bytes;
    size_t *used = w->in_infos ? &w->n_infos : &w->n, *cap = w->in_infos ? &w->cap_infos : &w->cap;

    if (*used + n > *cap) {
        unsigned char *longer = realloc(*to, (*used + n) * 2);

        if (!longer)
            abort();
        *cap = (*used + n) * 2;
        *to = longer;
    }
    if (n)
        memcpy(*to + *used, p, n);
    *used += n;
}

static inline void put_number(gguf_writer *w, uint64_t v, size_t size)
{
    unsigned char b[8];

    for (size_t i = 0; i < size; i++)
        b[w->big ? size - 1 - i : i] = (unsigned char)(v >> (8 * i));
    put_bytes(w, b, size);
}

static inline size_t count_size(const gguf_writer *w) { return w->version == 1 ? 4 : 8; }

static inline void put_text(gguf_writer *w, const char *s)
{
    put_number(w, strlen(s), count_size(w));
    put_bytes(w, s, strlen(s));
}

static inline gguf_writer gguf_begin(uint32_t version, int big)
{
    gguf_writer w = { .version = version, .big = big };

    put_bytes(&w, "GGUF", 4);
    put_number(&w, version, 4);
    w.tensors_at = w.n;
    put_number(&w, 0, count_size(&w));
    w.keys_at = w.n;
    put_number(&w, 0, count_size(&w));
    return w;
}

static inline void gguf_key(gguf_writer *w, const char *key, uint32_t type)
{
    w->n_keys++;
    put_text(w, key);
    put_number(w, type, 4);
}

static inline void gguf_u32(gguf_writer *w, const char *key, uint32_t v)
{
    gguf_key(w, key, 4);
    put_number(w, v, 4);
}

static inline void gguf_str(gguf_writer *w, const char *key, const char *v)
{
    gguf_key(w, key, 8);
    put_text(w, v);
}

/* A list of 32-bit numbers. */
static inline void gguf_list(gguf_writer *w, const char *key, const uint32_t *v, size_t n)
{
    gguf_key(w, key, 9);
    put_number(w, 5, 4);
    put_number(w, n, count_size(w));
    for (size_t i = 0; i < n; i++)
        put_number(w, v[i], 4);
}

/* `n` strings, as a tokenizer's vocabulary is. */
static inline void gguf_words(gguf_writer *w, const char *key, size_t n)
{
    gguf_key(w, key, 9);
    put_number(w, 8, 4);
    put_number(w, n, count_size(w));
    for (size_t i = 0; i < n; i++)
        put_text(w, "token");
}

/* dims fastest first; `bytes` is what the data takes. */
static inline void gguf_put_tensor(gguf_writer *w, const char *name, uint32_t n_dims,
                                   const uint64_t *dims, uint32_t type, uint64_t bytes)
{
    w->n_tensors++;
    w->in_infos = 1;
    put_text(w, name);
    put_number(w, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        put_number(w, dims[i], count_size(w));
    put_number(w, type, 4);
    put_number(w, w->data_bytes, 8);
    w->in_infos = 0;
    w->data_bytes += (bytes + 31) / 32 * 32;
}

/* Fills in the counts; the bytes of the whole file, of which only the header is there. */
static inline uint64_t gguf_end(gguf_writer *w)
{
    size_t end = w->n;

    w->n = w->tensors_at;
    put_number(w, w->n_tensors, count_size(w));
    w->n = w->keys_at;
    put_number(w, w->n_keys, count_size(w));
    w->n = end;
    put_bytes(w, w->infos, w->n_infos);
    free(w->infos);
    w->infos = NULL;
    w->n_infos = w->cap_infos = 0;
    while (w->n % 32)
        put_bytes(w, "", 1);
    return w->n + w->data_bytes;
}

#endif
