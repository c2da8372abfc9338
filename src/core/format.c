/* format.c: element formats as whole blocks, and what a row of them takes. */
#include "oom.h"
#include "num.h"

#include <strings.h>

/* ggml's types: name, elements and bytes of a block, type number (ggml.c: type_traits, as of
 * llama.cpp 0.5.0-dev). Types ggml lacks follow with -1. */
static const oom_format formats[] = {
    { "fp32", 1, 4, 0 },       { "fp16", 1, 2, 1 },       { "bf16", 1, 2, 30 },
    { "q4_0", 32, 18, 2 },     { "q4_1", 32, 20, 3 },     { "q5_0", 32, 22, 6 },
    { "q5_1", 32, 24, 7 },     { "q8_0", 32, 34, 8 },     { "q8_1", 32, 36, 9 },
    { "q2_k", 256, 84, 10 },   { "q3_k", 256, 110, 11 },  { "q4_k", 256, 144, 12 },
    { "q5_k", 256, 176, 13 },  { "q6_k", 256, 210, 14 },  { "q8_k", 256, 292, 15 },
    { "iq2_xxs", 256, 66, 16 }, { "iq2_xs", 256, 74, 17 }, { "iq3_xxs", 256, 98, 18 },
    { "iq1_s", 256, 50, 19 },  { "iq4_nl", 32, 18, 20 },  { "iq3_s", 256, 110, 21 },
    { "iq2_s", 256, 82, 22 },  { "iq4_xs", 256, 136, 23 }, { "i8", 1, 1, 24 },
    { "i16", 1, 2, 25 },       { "i32", 1, 4, 26 },       { "i64", 1, 8, 27 },
    { "f64", 1, 8, 28 },       { "iq1_m", 256, 56, 29 },  { "tq1_0", 256, 54, 34 },
    { "tq2_0", 256, 66, 35 },  { "mxfp4", 32, 17, 39 },   { "nvfp4", 64, 36, 40 },
    { "q1_0", 128, 18, 41 },   { "q2_0", 64, 18, 42 },
    { "fp8", 1, 1, -1 },       { "int8", 1, 1, -1 },      { "int4", 2, 1, -1 },
    { "u8", 1, 1, -1 },        { "bool", 1, 1, -1 },
};

#define N_FORMATS (sizeof formats / sizeof *formats)

const oom_format *oom_format_at(size_t i) { return i < N_FORMATS ? &formats[i] : NULL; }

/* Other tools' words: llama.cpp's, vLLM's --kv-cache-dtype, torch's. Both fp8 layouts take a
 * byte; vLLM keeps their scales per layer, not per token (cache.py), so none is counted. */
static const struct { const char *alias, *name; } aliases[] = {
    { "f16", "fp16" }, { "f32", "fp32" }, { "half", "fp16" }, { "float16", "fp16" },
    { "bfloat16", "bf16" }, { "float32", "fp32" }, { "float", "fp32" },
    { "fp8_e4m3", "fp8" }, { "fp8_e5m2", "fp8" },
};

const oom_format *oom_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(name, aliases[i].alias) == 0)
            name = aliases[i].name;
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcasecmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

/* A recipe asks several times a tensor: from the type's number to its place above. */
static const uint8_t place_of_id[] = {
    [0] = 0,   [1] = 1,   [2] = 3,   [3] = 4,   [6] = 5,   [7] = 6,   [8] = 7,   [9] = 8,
    [10] = 9,  [11] = 10, [12] = 11, [13] = 12, [14] = 13, [15] = 14, [16] = 15, [17] = 16,
    [18] = 17, [19] = 18, [20] = 19, [21] = 20, [22] = 21, [23] = 22, [24] = 23, [25] = 24,
    [26] = 25, [27] = 26, [28] = 27, [29] = 28, [30] = 2,  [34] = 29, [35] = 30, [39] = 31,
    [40] = 32, [41] = 33, [42] = 34,
};

const oom_format *oom_format_by_ggml_id(int32_t id)
{
    const oom_format *f;

    if (id < 0 || (size_t)id >= sizeof place_of_id)
        return NULL;
    f = &formats[place_of_id[id]];
    return f->ggml_id == id ? f : NULL;
}

oom_status oom_format_row_bytes(const oom_format *f, uint64_t n, uint64_t *bytes, oom_error *err)
{
    uint64_t total;

    if (!mul_u64(div_up(n, f->block), f->block_bytes, &total))
        return oom_fail(err, OOM_TOOLARGE, "%llu elements of %s: too large",
                        (unsigned long long)n, f->name);
    *bytes = total;
    return OOM_OK;
}
