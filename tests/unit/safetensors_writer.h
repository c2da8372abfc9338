/* safetensors_writer.h: writes headers of safetensors files, for tests. The data is counted, not
 * written. After <cmocka.h>. */
#ifndef SAFETENSORS_WRITER_H
#define SAFETENSORS_WRITER_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *text; size_t n, cap; uint64_t data; } header;

static inline void put(header *h, const char *fmt, ...)
{
    va_list args;

    if (h->cap - h->n < 1024) {
        h->cap = (h->cap + 1024) * 2;
        h->text = realloc(h->text, h->cap);
        assert_non_null(h->text);
    }
    va_start(args, fmt);
    h->n += (size_t)vsnprintf(h->text + h->n, h->cap - h->n, fmt, args);
    va_end(args);
}

static inline header begin(void)
{
    header h = { 0 };

    put(&h, "........{\"__metadata__\":{\"format\":\"pt\"}");
    return h;
}

/* Two dimensions; d1 0: one. */
static inline void tensor(header *h, const char *name, const char *dtype, uint64_t d0, uint64_t d1)
{
    static const struct { const char *name; uint64_t bytes; } sizes[] = {
        { "BF16", 2 }, { "F16", 2 }, { "F32", 4 }, { "I32", 4 }, { "U32", 4 }, { "U8", 1 },
        { "I8", 1 }, { "F8_E4M3", 1 }, { "I64", 8 },
    };
    uint64_t bytes = d0 * (d1 ? d1 : 1);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(sizes[i].name, dtype) == 0)
            bytes *= sizes[i].bytes;
    put(h, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu", name, dtype, (unsigned long long)d0);
    if (d1)
        put(h, ",%llu", (unsigned long long)d1);
    put(h, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)h->data,
        (unsigned long long)h->data + bytes);
    h->data += bytes;
}

/* The bytes of the whole file. */
static inline uint64_t end(header *h)
{
    put(h, "}");
    for (size_t i = 0; i < 8; i++)
        h->text[i] = (char)((h->n - 8) >> (8 * i));
    return h->n + h->data;
}

#endif
