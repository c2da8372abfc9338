/* recipe.c: the names of precisions, and what an inventory weighs in one. The recipes themselves
 * are elsewhere: llama.cpp's files in recipe_gguf.c, other tools' checkpoints in recipe_hf.c. */
#include "recipe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Pure widths: every parameter that many bits, over the whole sum. */
static const struct { const char *name, *meaning; uint32_t bits; } widths[] = {
    { "fp32", "32 bits: every parameter 4 bytes", 32 },
    { "fp16", "16 bits: every parameter 2 bytes", 16 },
    { "bf16", "16 bits: every parameter 2 bytes", 16 },
    { "fp8", "8 bits: every parameter 1 byte, no scales", 8 },
    { "int8", "8 bits: every parameter 1 byte, no scales", 8 },
    { "int4", "4 bits: two parameters a byte, no scales", 4 },
};

#define N_WIDTHS (sizeof widths / sizeof *widths)

/* ---- names ---------------------------------------------------------------------------------- */

/* Name i of formats(): stored, the widths, llama.cpp's files, the recipes, one type on all. */
const char *oom_precision_at(size_t i, const char **meaning)
{
    const char *unused, *name;

    if (!meaning)
        meaning = &unused;
    *meaning = "as the checkpoint is";
    if (i == 0)
        return "stored";
    i -= 1;
    if (i < N_WIDTHS) {
        *meaning = widths[i].meaning;
        return widths[i].name;
    }
    i -= N_WIDTHS;
    if (i < gguf_recipe_count()) {
        name = gguf_recipe_at(i, meaning);
        /* llama.cpp's bf16 shares its name with the width, which comes first */
        return strcmp(name, "bf16") == 0 ? "gguf:bf16" : name;
    }
    i -= gguf_recipe_count();
    if (i < hf_recipe_count())
        return hf_recipe_at(i, meaning);
    *meaning = "4.5 bits: one ggml type on all; type:iq4_xs, type:q6_k, …";
    return i == hf_recipe_count() ? "type:q4_0" : NULL;
}

/* Lower case, one of - and _ for both. False when it is longer than any name. */
static bool fold(const char *name, char dash, char *out, size_t out_bytes)
{
    size_t n = strlen(name);

    if (n + 1 > out_bytes)
        return false;
    for (size_t i = 0; i <= n; i++) {
        out[i] = (char)tolower((unsigned char)name[i]);
        if (out[i] == '-' || out[i] == '_')
            out[i] = dash;
    }
    return true;
}

static void take_name(oom_precision *p, const char *prefix, const char *name)
{
    snprintf(p->name, sizeof p->name, "%s%s", prefix, name);
}

static bool parse_width(const char *name, oom_precision *p)
{
    for (size_t i = 0; i < N_WIDTHS; i++)
        if (strcmp(widths[i].name, name) == 0) {
            *p = (oom_precision){ .kind = OOM_PRECISION_WIDTH, .bits = widths[i].bits };
            take_name(p, "", name);
            return true;
        }
    return false;
}

static bool parse_file(const char *name, oom_precision *p)
{
    for (uint32_t i = 0; i < gguf_recipe_count(); i++)
        if (strcmp(gguf_recipe_at(i, NULL), name) == 0) {
            *p = (oom_precision){ .kind = OOM_PRECISION_GGUF, .recipe = i };
            take_name(p, strcmp(name, "bf16") == 0 ? "gguf:" : "", name);
            return true;
        }
    return false;
}

static bool parse_type(const char *name, oom_precision *p)
{
    const oom_format *f = oom_format_find(name);

    if (!f || f->ggml_id < 0)
        return false;
    *p = (oom_precision){ .kind = OOM_PRECISION_TYPE, .format = f };
    take_name(p, "type:", f->name);
    return true;
}

/* The refusal, with the nearest names there are. */
static oom_status unknown(const char *name, oom_error *err)
{
    const char *names[128], *best[3] = { 0 };
    size_t n = 0, found;
    char quoted[64], list[128] = "";

    while (n < 128 && (names[n] = oom_precision_at(n, NULL)) != NULL)
        n++;
    found = oom_text_nearest(name, names, n, best, 3);
    for (size_t i = 0; i < found; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s\"%s\"",
                 i == 0 ? "" : i + 1 < found ? ", " : " or ", best[i]);
    oom_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (found)
        return oom_fail(err, OOM_NOTFOUND, "no precision \"%s\"; did you mean %s?", quoted, list);
    return oom_fail(err, OOM_NOTFOUND, "no precision \"%s\"; formats() lists them", quoted);
}

oom_status oom_precision_parse(const char *name, oom_precision *p, oom_error *err)
{
    char under[32], dash[32];

    if (!fold(name, '_', under, sizeof under))
        return unknown(name, err);
    fold(name, '-', dash, sizeof dash);
    if (strcmp(under, "stored") == 0) {
        *p = (oom_precision){ .kind = OOM_PRECISION_STORED, .name = "stored" };
        return OOM_OK;
    }
    if (strncmp(under, "gguf:", 5) == 0) {
        const char *file = under + 5;

        /* the widths' names for the files of that width */
        if (strcmp(file, "fp16") == 0)
            return oom_precision_parse("f16", p, err);
        if (strcmp(file, "fp32") == 0)
            return oom_precision_parse("f32", p, err);
        return parse_file(file, p) ? OOM_OK : unknown(name, err);
    }
    if (strncmp(under, "type:", 5) == 0)
        return parse_type(under + 5, p) ? OOM_OK : unknown(name, err);
    if (parse_width(under, p) || parse_file(under, p) || hf_recipe_parse(dash, p))
        return OOM_OK;
    return unknown(name, err);
}

/* ---- inventories ---------------------------------------------------------------------------- */

/* A checkpoint that packs several codes into a word says what it stores and how many parameters
 * that stands for, but not the shapes a recipe works on. */
static oom_status unpacked(const oom_model *m, const oom_precision *p, oom_error *err)
{
    char name[128];

    for (size_t i = 0; m->from_file && i < m->n_tensors; i++) {
        const oom_tensor *t = &m->tensors[i];

        if (t->params != sat_mul(tensor_rows(t), tensor_row(t)))
            return oom_fail(err, OOM_BADVALUE,
                            "%s: %s is packed, so only \"stored\" and widths can "
                            "be told of this checkpoint, not %s", m->id,
                            oom_tensor_name(t, name, sizeof name), p->name);
    }
    return OOM_OK;
}

oom_status oom_precision_inventory(oom_model *m, const oom_precision *p,
                                   const oom_model **inventory, oom_error *err)
{
    if (p->kind == OOM_PRECISION_GGUF)
        return unpacked(m, p, err) == OOM_OK ? gguf_view(m, inventory, err) : OOM_BADVALUE;
    *inventory = m;
    return OOM_OK;
}

oom_status oom_precision_formats(const oom_model *inventory, const oom_precision *p,
                                 const oom_format **each, oom_error *err)
{
    const oom_format *one = p->kind == OOM_PRECISION_TYPE    ? p->format
                            : p->kind == OOM_PRECISION_WIDTH ? oom_format_find(p->name)
                                                             : NULL;

    if (p->kind == OOM_PRECISION_GGUF)
        return gguf_recipe_apply(inventory, p->recipe, each, NULL, err);
    for (size_t i = 0; i < inventory->n_tensors; i++)
        each[i] = p->kind == OOM_PRECISION_STORED ? inventory->tensors[i].stored : one;
    return OOM_OK;
}

/* ---- weighing ------------------------------------------------------------------------------- */

/* Parameters times bits over the whole sum, rounded up once; a tensor's share is what it adds to
 * the rounded sum, so that the shares add up. */
static void weigh_width(uint64_t bits, scale *s)
{
    uint64_t params = 0, bytes = 0, mtp_params = 0, mtp_bytes = 0;

    for (size_t i = 0; i < s->inventory->n_tensors; i++) {
        const oom_tensor *t = &s->inventory->tensors[i];
        bool mtp = t->part == OOM_PART_MTP;
        uint64_t *all = mtp ? &mtp_params : &params, *before = mtp ? &mtp_bytes : &bytes;
        uint64_t after;

        *all = sat_add(*all, t->params);
        after = bits % 8 == 0 ? sat_mul(*all, bits / 8)
              : *all == SAT_TOOLARGE ? SAT_TOOLARGE : div_up(*all, 8 / bits);
        scale_put(s, i, after == SAT_TOOLARGE ? after : after - *before);
        *before = after;
    }
}

/* Bytes a parameter takes in a checkpoint that says only its dtype: 2 unless it says fp32. */
static uint64_t dtype_bytes(const oom_model *m)
{
    static const char *const keys[] = { "torch_dtype", "dtype" };
    const oom_value *text = oom_value_get(m->config, "text_config");

    for (size_t i = 0; i < 4; i++) {
        const oom_value *v = oom_value_get(i < 2 ? m->config : text, keys[i % 2]);

        if (v && v->kind == OOM_STRING)
            return strcmp(v->u.text, "float32") == 0 ? 4 : 2;
    }
    return 2;
}

static oom_status weigh_stored(scale *s, oom_error *err)
{
    const oom_model *m = s->inventory;
    oom_precision p = { 0 };

    if (m->from_file) {
        for (size_t i = 0; i < m->n_tensors; i++)
            scale_put(s, i, m->tensors[i].stored_bytes);
        return OOM_OK;
    }
    if (!m->stored_precision) {
        weigh_width(8 * dtype_bytes(m), s);
        return OOM_OK;
    }
    /* its name is a width's or a recipe's (family/stored.c) */
    return oom_precision_parse(m->stored_precision, &p, err) != OOM_OK
               ? OOM_NOTFOUND : oom_precision_weigh(m, &p, s->each, &s->sum, err);
}

oom_status precision_weigh(const oom_model *inventory, const oom_precision *p,
                           uint64_t *tensor_bytes, const oom_format **formats, uint64_t *total,
                           oom_error *err)
{
    scale s = { .inventory = inventory };
    oom_status status = OOM_OK;

    s.each = tensor_bytes;
    if (p->kind != OOM_PRECISION_STORED && p->kind != OOM_PRECISION_WIDTH)
        status = unpacked(inventory, p, err);
    if (status != OOM_OK)
        return status;
    switch (p->kind) {
    case OOM_PRECISION_STORED:
        status = weigh_stored(&s, err);
        break;
    case OOM_PRECISION_WIDTH:
        weigh_width((uint64_t)p->bits, &s);
        break;
    case OOM_PRECISION_TYPE:
        for (size_t i = 0; i < inventory->n_tensors; i++)
            scale_put(&s, i, tensor_bytes_in(&inventory->tensors[i], p->format));
        break;
    case OOM_PRECISION_GGUF:
        status = gguf_recipe_apply(inventory, p->recipe, formats, &s, err);
        break;
    case OOM_PRECISION_RECIPE:
        status = hf_recipe_weigh(p, &s, err);
        break;
    }
    if (status == OOM_OK && formats && p->kind != OOM_PRECISION_GGUF)
        status = oom_precision_formats(inventory, p, formats, err);
    if (status != OOM_OK)
        return status;
    if (s.sum == SAT_TOOLARGE)
        return oom_fail(err, OOM_TOOLARGE, "%s in %s: too large", inventory->id, p->name);
    *total = s.sum;
    return OOM_OK;
}

oom_status oom_precision_weigh(const oom_model *inventory, const oom_precision *p,
                               uint64_t *tensor_bytes, uint64_t *total, oom_error *err)
{
    return precision_weigh(inventory, p, tensor_bytes, NULL, total, err);
}
