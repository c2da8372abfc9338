/* family.c: from a configuration to the family that knows it. Finds the row for the model_type,
 * builds, and completes what every model has: the label of its attention, the precision it is
 * stored in. What is not recognised is refused by name, never guessed. */
#include "family.h"

#include <stdio.h>
#include <string.h>

static const family *const tables[] = {
    dense_families, nas_families, classic_families, moe_families, encoder_families, encdec_families,
    mla_families, v4_families, delta_families, ssm_families, nemotron_families,
    linear_families, lfm2_families, rwkv_families, gemma_n_families, vision_families,
};

#define N_TABLES (sizeof tables / sizeof *tables)

static const family *family_at(size_t i)
{
    for (size_t t = 0; t < N_TABLES; t++)
        for (const family *f = tables[t]; f->model_type; f++)
            if (i-- == 0)
                return f;
    return NULL;
}

const char *oom_family_at(size_t i)
{
    const family *f = family_at(i);

    return f ? f->model_type : NULL;
}

const family *family_find(const char *model_type)
{
    const family *f;

    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        if (strcmp(f->model_type, model_type) == 0)
            return f;
    return NULL;
}

/* "LlamaForCausalLM" says llama to a configuration without model_type. */
static const family *by_architecture(const oom_value *config)
{
    const oom_value *list = oom_value_get(config, "architectures");
    char stem[64];
    const char *name, *end;
    const family *f;

    if (!list || list->kind != OOM_LIST || list->u.list.n == 0
        || list->u.list.items[0].kind != OOM_STRING)
        return NULL;
    name = list->u.list.items[0].u.text;
    end = strstr(name, "For");
    snprintf(stem, sizeof stem, "%.*s", end ? (int)(end - name) : 0, name);
    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        if (oom_text_same(f->model_type, stem))
            return f;
    return NULL;
}

/* The refusal names what is known and what would do. */
static void unknown(build *b, const char *type)
{
    const char *names[512], *best[3] = { NULL };
    char quoted[64];
    size_t n = 0, found;

    while (n < sizeof names / sizeof *names && (names[n] = oom_family_at(n)) != NULL)
        n++;
    found = oom_text_nearest(type, names, n, best, 1);
    refuse(b, "model_type \"%s\" is not known%s%s%s; give params (and hidden_size, "
           "num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim for its cache)",
           oom_text_quote(type, strlen(type), quoted, sizeof quoted),
           found ? ", nearest \"" : "", found ? best[0] : "", found ? "\"" : "");
}

/* The family of a text model: what it names itself, but "X_text" within X (unless X_text is a
 * family of its own) and a wrapper without a text (`alone`) are what the wrapper says. */
static const family *text_family(const build *b, const char *type, bool alone,
                                 const char *otherwise)
{
    size_t stem = strlen(b->m->family);
    bool same = alone || strcmp(type, b->m->family) == 0;
    bool wrapper = same || (strncmp(type, b->m->family, stem) == 0
                            && strcmp(type + stem, "_text") == 0);
    const family *f = same ? NULL : family_find(type);

    return f || !wrapper ? f : family_find(otherwise);
}

void build_text(build *b, const oom_value *cfg, const char *otherwise)
{
    const oom_value *saved = b->cfg;
    const class_default *saved_defaults = b->defaults;
    const char *type;
    const family *f;

    b->cfg = cfg;
    type = word(b, "model_type", otherwise);
    f = text_family(b, type, cfg == saved, otherwise);
    if (f) {
        b->defaults = f->defaults;
        if (!b->m->ggml_arch)
            b->m->ggml_arch = f->ggml_arch;
        f->build(b);
    } else {
        unknown(b, type);
    }
    b->cfg = saved;
    b->defaults = saved_defaults;
}

/* ---- what every model has ---- */

/* "gqa+swa": from the caches and the head counts, so that no family has to say it. */
const char *oom_attention_label(const oom_model *m)
{
    static const char *const plain[] = { "mha", "gqa", "mqa" };
    static const char *const sliding[] = { "mha+swa", "gqa+swa", "mqa+swa" };
    static const char *const chunked[] = { "mha+chunked", "gqa+chunked", "mqa+chunked" };
    bool kind[OOM_CACHE_STATE + 1] = { false };
    const oom_shape *s = &m->shape;
    int heads = s->kv_heads >= s->heads ? 0 : s->kv_heads == 1 ? 2 : 1;

    for (size_t i = 0; i < m->n_caches; i++)
        kind[m->caches[i].kind] = true;
    if (kind[OOM_CACHE_STATE])
        return m->shape.heads ? "hybrid" : "none";
    if (kind[OOM_CACHE_MLA])
        return "mla";
    if (kind[OOM_CACHE_CHUNK])
        return chunked[heads];
    if (kind[OOM_CACHE_WINDOW])
        return sliding[heads];
    return s->heads ? plain[heads] : "none";
}

static void build_whole(build *b)
{
    const char *type = word(b, "model_type", NULL);
    const family *f = type ? family_find(type) : by_architecture(b->cfg);

    if (b->status != OOM_OK)
        return;
    if (has(b, "params") && !f) {
        b->m->family = "params";
        build_params(b);
    } else if (f) {
        b->m->family = f->model_type;
        b->m->ggml_arch = f->ggml_arch;
        b->defaults = f->defaults;
        f->build(b);
    } else if (type) {
        unknown(b, type);
    } else {
        refuse(b, "no \"model_type\" in the configuration; give it, or params (and hidden_size, "
               "num_hidden_layers for its cache)");
    }
}

oom_status oom_family_build(oom_model *m, const oom_value *config, oom_error *err)
{
    oom_error own = { 0 };
    oom_param_counts counts;
    build b = { .m = m, .cfg = config, .whole = config, .err = err ? err : &own, .layer = -1 };

    if (!config || config->kind != OOM_MAP)
        return oom_fail(err, OOM_BADVALUE, "a configuration must be an object of keys and values");
    m->config = config;
    build_whole(&b);
    m->stored_precision = stored_precision(&b);
    if (b.status != OOM_OK)
        return b.status;
    if (strcmp(m->attention, "none") == 0)
        m->attention = oom_attention_label(m);
    return oom_model_count(m, &counts, err);
}
