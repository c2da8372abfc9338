/* checkpoint.c: the tensors of safetensors files become an inventory. A weight that is stored in
 * several tensors (codes, scales, zero points, one per expert) is one tensor of the inventory,
 * with the shape it stands for and the bytes it really takes; caches and shape come from the
 * config.json beside the files. */
#include "safetensors.h"
#include "num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const st_tensor *t;
    st_place p;
    const char *key;
} entry;

/* One weight: entries with the same key, from `at` on. */
typedef struct { size_t at, n; } group;

typedef struct {
    oom_model *m;
    oom_arena *work;
    const char *name;               /* for messages */
    uint64_t bits;                  /* of packed codes, as the configuration says */
    entry *entries;
    size_t n_entries;
    oom_error *err;
} building;

/* ---- configuration ---- */

static uint64_t positive(const oom_value *map, const char *key)
{
    const oom_value *v = oom_value_get(map, key);

    return v && v->kind == OOM_INT && v->u.i > 0 ? (uint64_t)v->u.i : 0;
}

/* Bits of a code: quantization_config (AWQ, GPTQ), quantization (MLX), compressed-tensors' first
 * group. 4 where nothing says. */
static uint64_t bits_of(const oom_value *config)
{
    static const char *const places[] = { "quantization_config", "quantization",
                                          "compression_config" };
    static const char *const keys[] = { "bits", "w_bit", "nbits" };

    for (size_t i = 0; i < 3; i++) {
        const oom_value *q = oom_value_get(config, places[i]);
        const oom_value *g = oom_value_get(oom_value_get(q, "config_groups"), "group_0");
        uint64_t bits = positive(oom_value_get(g, "weights"), "num_bits");

        for (size_t k = 0; k < 3 && !bits; k++)
            bits = positive(q, keys[k]);
        if (bits && bits <= 32)
            return bits;
    }
    return 4;
}

/* ---- shapes of packed weights ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), len = strlen(end);

    return n >= len && strcmp(s + n - len, end) == 0;
}

/* What belongs to the same weight (of the same expert). */
static const st_tensor *beside(const building *b, group g, const entry *of, const char *end)
{
    for (size_t i = g.at; i < g.at + g.n; i++)
        if (b->entries[i].p.expert == of->p.expert && ends_with(b->entries[i].t->name, end))
            return b->entries[i].t;
    return NULL;
}

static void shape_2d(oom_tensor *t, uint64_t out, uint64_t in)
{
    t->n_dims = 2;
    t->dims[0] = out;
    t->dims[1] = in;
}

/* 32-bit words of codes: how many codes `words` hold. */
static uint64_t unpacked(uint64_t words, uint64_t bits) { return sat_mul(words, 32) / bits; }

/* AutoAWQ: qweight [in, out x bits / 32]; GPTQ: [in x bits / 32, out]; both: scales [groups, out],
 * qzeros [groups, out x bits / 32]. */
static void shape_qweight(const building *b, group g, const entry *e, oom_tensor *t)
{
    const st_tensor *w = e->t, *scales = beside(b, g, e, ".scales"),
                    *zeros = beside(b, g, e, ".qzeros");
    const st_tensor *order = beside(b, g, e, ".g_idx");
    uint64_t out = scales && scales->n_dims == 2 ? scales->dims[1] : 0, bits = b->bits;

    if (w->n_dims != 2)
        return;
    if (zeros && zeros->n_dims == 2 && zeros->dims[1] && out && sat_mul(zeros->dims[1], 32) / out)
        bits = sat_mul(zeros->dims[1], 32) / out;
    if (out == w->dims[1])
        shape_2d(t, out, order && order->n_dims == 1 ? order->dims[0] : unpacked(w->dims[0], bits));
    else
        shape_2d(t, out ? out : unpacked(w->dims[1], bits), w->dims[0]);
}

/* The shape that one stored tensor stands for. */
static void shape_of(const building *b, group g, const entry *e, oom_tensor *t)
{
    const st_tensor *w = e->t;
    const char *packing = e->p.packing ? e->p.packing : "";
    bool words = strcmp(w->dtype, "I32") == 0 || strcmp(w->dtype, "U32") == 0;
    bool bytes = strcmp(w->dtype, "U8") == 0;
    uint32_t last = w->n_dims ? w->n_dims - 1 : 0;

    t->n_dims = w->n_dims;
    memcpy(t->dims, w->dims, sizeof t->dims);
    if (strcmp(packing, "qweight") == 0) {
        shape_qweight(b, g, e, t);
    } else if (strcmp(packing, "q_weight") == 0) {              /* EXL2: rows of mixed widths */
        const st_tensor *order = beside(b, g, e, ".q_invperm");

        if (order && order->n_dims == 1 && w->n_dims == 2)
            shape_2d(t, w->dims[1], order->dims[0]);
    } else if (strcmp(packing, "W_q") == 0) {                   /* HQQ: the shape is in its meta */
        t->n_dims = 1;
        t->dims[0] = sat_mul(w->elements, words ? 32 : 8) / b->bits;
    } else if (strcmp(packing, "blocks") == 0) { /* MXFP4: [experts, out, in/32, 16] */
        if (w->n_dims == 4) {
            t->n_dims = 3;
            t->dims[2] = sat_mul(sat_mul(w->dims[2], w->dims[3]), 2);
        }
    } else if (bytes && beside(b, g, e, ".absmax")) { /* bitsandbytes: two codes a byte */
        t->n_dims = 1;
        t->dims[0] = sat_mul(w->elements, 2);
    } else if (w->n_dims && words && (*packing || beside(b, g, e, ".scales"))) {
        t->dims[last] = unpacked(w->dims[last], b->bits);       /* compressed-tensors; MLX */
    } else if (w->n_dims && bytes && (*packing || beside(b, g, e, ".weight_scale"))) {
        t->dims[last] = sat_mul(w->dims[last], 2);              /* NVFP4 */
    }
}

/* ---- one weight ---- */

static bool same_shape(const oom_tensor *a, const oom_tensor *b)
{
    return a->n_dims == b->n_dims && memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

static uint64_t product(const oom_tensor *t)
{
    uint64_t n = 1;

    for (uint32_t i = 0; i < t->n_dims; i++)
        n = sat_mul(n, t->dims[i]);
    return n;
}

static bool is_main(const entry *e) { return e->p.leaf != ST_EXTRA; }

/* Stacked experts and attention's sinks are weights though their names do not say it; a mixer's
 * dt_bias is one though its name ends otherwise. */
static oom_suffix suffix_of(const entry *e)
{
    if (e->p.leaf != ST_BARE)
        return e->p.leaf == ST_BIAS ? OOM_BIAS : OOM_WEIGHT;
    switch (e->p.role) {
    case OOM_ROLE_SSM_DT: case OOM_ROLE_ROUTER_BIAS:
        return OOM_BIAS;
    case OOM_ROLE_OTHER: case OOM_ROLE_SSM_A: case OOM_ROLE_SSM_D:
        return OOM_BARE;
    default:
        return OOM_WEIGHT;
    }
}

/* A layer past the model's own predicts further tokens (DeepSeek, GLM). */
static oom_part part_of(const building *b, const entry *e)
{
    const oom_shape *s = &b->m->shape;

    if (e->p.part == OOM_PART_TEXT && s->n_layers && e->p.layer >= (int32_t)s->n_layers &&
        !s->encoder_decoder)
        return OOM_PART_MTP;
    return e->p.part;
}

static oom_status add(building *b, const oom_tensor *t, const char *name)
{
    oom_tensor own = *t;

    own.name = oom_arena_text(b->m->arena, name, strlen(name), b->err);
    if (!own.name)
        return OOM_NOMEM;
    return oom_model_add_tensor(b->m, &own, b->err);
}

static oom_status add_group(building *b, group g)
{
    const entry *first = NULL;
    oom_tensor t = { 0 }, one = { 0 };
    uint64_t params = 0, n_main = 0, bytes = 0;
    bool alike = true;
    char name[600];

    for (size_t i = g.at; i < g.at + g.n; i++) {
        const entry *e = &b->entries[i];

        bytes = sat_add(bytes, e->t->bytes);
        if (!is_main(e))
            continue;
        shape_of(b, g, e, &one);
        if (!first) {
            first = e;
            t = one;
        }
        alike &= same_shape(&t, &one);
        params = sat_add(params, product(&one));
        n_main++;
    }
    if (!first) {               /* scales without a weight: what they are nobody says; they count */
        for (size_t i = g.at; i < g.at + g.n; i++) {
            const entry *e = &b->entries[i];
            oom_status status;

            one = (oom_tensor){ .layer = e->p.layer, .part = part_of(b, e), .suffix = OOM_BARE,
                                .n_dims = 1, .dims = { e->t->elements }, .stored = e->t->format,
                                .stored_bytes = e->t->bytes };
            if ((status = add(b, &one, e->t->name)) != OOM_OK)
                return status;
        }
        return OOM_OK;
    }
    /* a head that is the embedding may be in the file all the same; it is not loaded twice */
    if (first->p.role == OOM_ROLE_OUTPUT && b->m->shape.tied && first->p.leaf == ST_WEIGHT)
        return OOM_OK;
    t.layer = first->p.layer;
    t.role = first->p.role;
    t.part = part_of(b, first);
    t.suffix = suffix_of(first);
    t.stored = first->t->format;
    t.stored_bytes = bytes;
    if (alike && first->p.expert >= 0 && t.n_dims < 4) {        /* one per expert: stacked */
        memmove(t.dims + 1, t.dims, 3 * sizeof *t.dims);
        t.dims[0] = n_main;
        t.n_dims++;
    } else {
        t.params = params;
    }
    if (params > OOM_MAX_BYTES)         /* no file holds as many bytes */
        return oom_fail(b->err, OOM_TOOLARGE, "%s: a weight of more than 2^63 elements", b->name);
    if (first->p.expert < 0)
        return add(b, &t, first->t->name);
    /* "experts.*.up_proj" is the key; what follows it tells weight from bias */
    snprintf(name, sizeof name, "%s%s", first->key, t.suffix == OOM_BIAS ? ".bias"
             : t.suffix == OOM_WEIGHT ? ".weight" : "");
    return add(b, &t, name);
}

/* ---- the whole ---- */

/* By layer, so that an inventory reads from the first to the last; weights of a module together,
 * its bias apart. */
static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = (int)x->p.part - (int)y->p.part;

    order = order ? order : x->p.layer - y->p.layer;
    order = order ? order : strcmp(x->key, y->key);
    order = order ? order : (x->p.leaf == ST_BIAS) - (y->p.leaf == ST_BIAS);
    order = order ? order : x->p.expert - y->p.expert;
    return order ? order : strcmp(x->t->name, y->t->name);
}

static bool together(const entry *x, const entry *y)
{
    return strcmp(x->key, y->key) == 0 && (x->p.leaf == ST_BIAS) == (y->p.leaf == ST_BIAS);
}

static oom_status build(building *b, const st_tensors *all)
{
    char key[560];
    oom_status status;
    group g;

    b->entries = oom_arena_get(b->work, all->n * sizeof *b->entries, b->err);
    if (!b->entries)
        return OOM_NOMEM;
    for (size_t i = 0; i < all->n; i++) {
        entry *e = &b->entries[b->n_entries];

        e->t = &all->list[i];
        e->p = st_place_of(e->t, key, sizeof key);
        if (e->p.leaf == ST_BUFFER)
            continue;
        e->key = oom_arena_text(b->work, key, strlen(key), b->err);
        if (!e->key)
            return OOM_NOMEM;
        b->n_entries++;
    }
    if (b->n_entries)
        qsort(b->entries, b->n_entries, sizeof *b->entries, by_place);
    for (g.at = 0; g.at < b->n_entries; g.at += g.n) {
        for (g.n = 1; g.at + g.n < b->n_entries; g.n++)
            if (!together(&b->entries[g.at], &b->entries[g.at + g.n]))
                break;
        if ((status = add_group(b, g)) != OOM_OK)
            return status;
    }
    if (b->m->n_tensors == 0)
        return oom_fail(b->err, OOM_BADFILE, "%s: no tensors", b->name);
    return OOM_OK;
}

/* ---- what belongs together across files ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const st_tensor *const *)a)->name, (*(const st_tensor *const *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* No name twice, and all that the index promises. */
static oom_status check_names(oom_arena *work, const char *name, const st_tensors *all,
                              const oom_value *map, oom_error *err)
{
    const st_tensor **sorted = oom_arena_get(work, all->n * sizeof *sorted, err);
    size_t n = map ? map->u.map.n : 0, at = 0;
    const char **promised = oom_arena_get(work, n * sizeof *promised, err);
    char quoted[128];

    if (!sorted || !promised)
        return OOM_NOMEM;
    for (size_t i = 0; i < all->n; i++)
        sorted[i] = &all->list[i];
    if (all->n)
        qsort(sorted, all->n, sizeof *sorted, by_name);
    for (size_t i = 1; i < all->n; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return oom_fail(err, OOM_BADFILE, "%s: tensor \"%s\" is in two files", name,
                            oom_text_quote(sorted[i]->name, strlen(sorted[i]->name), quoted,
                                           sizeof quoted));
    for (size_t i = 0; i < n; i++)
        promised[i] = map->u.map.members[i].key;
    if (n)
        qsort(promised, n, sizeof *promised, by_key);
    for (size_t i = 0; i < n; i++) {
        while (at < all->n && strcmp(sorted[at]->name, promised[i]) < 0)
            at++;
        if (at == all->n || strcmp(sorted[at]->name, promised[i]) != 0)
            return oom_fail(
                err, OOM_BADFILE, "%s: tensor \"%s\" is in none of its files", name,
                oom_text_quote(promised[i], strlen(promised[i]), quoted, sizeof quoted));
    }
    return OOM_OK;
}

/* ---- shape and caches ---- */

static oom_status note(oom_model *m, const char *text, oom_error *err)
{
    m->note = oom_arena_text(m->arena, text, strlen(text), err);
    m->shape_unknown = true;
    return m->note ? OOM_OK : OOM_NOMEM;
}

/* What a configuration says beside the tensors, from the model it would build. One that no family
 * knows leaves the weights alone. */
static oom_status read_beside(oom_model *m, const oom_value *config, oom_model **out,
                              oom_error *err)
{
    oom_model *told;
    oom_error why = { 0 };
    oom_status status;

    m->family = "safetensors";
    if (!config)
        return note(m, "no config.json beside it: weights only", err);
    told = oom_arena_get(m->arena, sizeof *told, err);
    if (!told)
        return OOM_NOMEM;
    *told = (oom_model){ .arena = m->arena, .id = "config.json", .family = "",
                         .attention = "none" };
    status = oom_family_build(told, config, &why);
    if (status == OOM_NOMEM)
        return oom_fail(err, status, "%s", why.msg);
    m->config = config;
    if (status != OOM_OK)
        return note(m, why.msg, err);
    m->family = told->family;
    m->ggml_arch = told->ggml_arch;
    m->attention = told->attention;
    m->stored_precision = told->stored_precision;
    m->note = told->note;
    m->shape = told->shape;
    m->caches = told->caches;
    m->n_caches = told->n_caches;
    m->cap_caches = told->cap_caches;
    *out = told;
    return OOM_OK;
}

/* A GGUF file is made from the model, not from the way its tensors were stored: where the files
 * hold as many parameters as the configuration says, its inventory is the better start (fused and
 * split matrices get their types one by one). */
static oom_status share_view(oom_model *m, oom_model *told, oom_error *err)
{
    oom_param_counts has = { 0 }, says = { 0 };
    const oom_model *view;
    oom_precision p;
    oom_error why = { 0 };
    oom_status status;

    oom_model_count(m, &has, NULL);
    oom_model_count(told, &says, NULL);
    oom_precision_parse("q8_0", &p, NULL);
    if (has.loaded != says.loaded)
        return OOM_OK;
    status = oom_precision_inventory(told, &p, &view, &why);
    if (status == OOM_OK)
        m->gguf = told->gguf;
    return status == OOM_NOMEM ? oom_fail(err, status, "%s", why.msg) : OOM_OK;
}

/* Where no configuration names it: the type that most of the bytes are in. */
static const char *main_type(const oom_model *m)
{
    static const char *const names[] = { "fp32", "fp16", "bf16" };
    uint64_t bytes[3] = { 0 };
    size_t best = 0;

    for (size_t i = 0; i < m->n_tensors; i++)
        for (size_t k = 0; k < 3; k++)
            if (m->tensors[i].stored == oom_format_find(names[k]))
                bytes[k] = sat_add(bytes[k], m->tensors[i].stored_bytes);
    for (size_t k = 1; k < 3; k++)
        if (bytes[k] > bytes[best])
            best = k;
    return bytes[best] ? names[best] : NULL;
}

static oom_status read_all(oom_model *m, oom_arena *work, const read_part *parts, size_t n_parts,
                           const oom_value *map, const oom_value *config, oom_error *err)
{
    building b = { .m = m, .work = work, .name = parts[0].name, .err = err,
                   .bits = bits_of(config) };
    st_tensors all = { 0 };
    oom_model *told = NULL;
    oom_status status = OOM_OK;

    for (size_t i = 0; i < n_parts && status == OOM_OK; i++)
        status = st_parse(work, &parts[i], &all, err);
    if (status == OOM_OK)
        status = check_names(work, b.name, &all, map, err);
    if (status == OOM_OK)
        status = read_beside(m, config, &told, err);
    if (status != OOM_OK)
        return status;
    m->from_file = true;
    status = build(&b, &all);
    if (status == OOM_OK && !m->stored_precision)
        m->stored_precision = main_type(m);
    if (status == OOM_OK && told)
        status = share_view(m, told, err);
    return status;
}

oom_status read_checkpoint(oom_model *m, const read_part *parts, size_t n_parts,
                           const oom_value *map, const oom_value *config, oom_error *err)
{
    oom_arena *work = oom_arena_new(oom_arena_alloc(m->arena), err);
    oom_status status = work ? read_all(m, work, parts, n_parts, map, config, err) : OOM_NOMEM;

    oom_arena_free(work);
    return status;
}

oom_status read_safetensors(oom_model *m, const char *name, const void *bytes, size_t n,
                            oom_error *err)
{
    char quoted[128];
    read_part part = { read_quote_path(name, quoted, sizeof quoted), bytes, n };

    return read_checkpoint(m, &part, 1, NULL, NULL, err);
}
