/* gguf_view.c: the inventory of the GGUF file that llama.cpp's converter makes of a model. It is
 * built once, in the model's arena, from the inventory of the checkpoint: the converter splits,
 * squeezes and drops tensors, adds some (Llama 3.1's rope factors), and the quantiser walks them in
 * an order of its own. Shapes are those of llama.cpp 0.5.0-dev, src/models. */
#include "recipe.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const oom_model *from;
    oom_model *to;
    const char *arch;
    oom_error *err;
    oom_status status;
} view;

static bool arch_in(const view *v, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(v->arch, *list) == 0)
            return true;
    return false;
}

static bool arch_is(const view *v, const char *name) { return strcmp(v->arch, name) == 0; }

static void put(view *v, oom_tensor t)
{
    t.params = 0;               /* the product of what it now is */
    if (v->status == OOM_OK)
        v->status = oom_model_add_tensor(v->to, &t, v->err);
}

/* The same tensor as another matrix. */
static void put_matrix(view *v, oom_tensor t, oom_role role, uint64_t out, uint64_t in)
{
    t.role = role;
    t.n_dims = 2;
    t.dims[0] = out;
    t.dims[1] = in;
    put(v, t);
}

static void put_cube(view *v, oom_tensor t, oom_role role, uint64_t n, uint64_t out, uint64_t in)
{
    t.role = role;
    t.n_dims = 3;
    t.dims[0] = n;
    t.dims[1] = out;
    t.dims[2] = in;
    put(v, t);
}

/* ---- what becomes of one tensor ------------------------------------------------------------- */

/* kv_b is stored as its two halves, head by head, the key's transposed (deepseek2.cpp: wk_b is
 * {nope, kv_lora_rank, heads}, wv_b {kv_lora_rank, value, heads}). */
static void split_kv_b(view *v, const oom_tensor *t)
{
    const oom_shape *s = &v->from->shape;
    uint64_t nope = s->head_dim - s->rope_dim;

    if (t->n_dims != 2 || t->dims[0] != s->heads * (nope + s->v_head_dim)) {
        put(v, *t);
        return;
    }
    put_cube(v, *t, OOM_ROLE_ATTN_K_B, s->heads, t->dims[1], nope);
    put_cube(v, *t, OOM_ROLE_ATTN_V_B, s->heads, s->v_head_dim, t->dims[1]);
}

/* Fused q, k and v, which the converter takes apart for these only; elsewhere they stay fused. */
static void split_qkv(view *v, const oom_tensor *t)
{
    static const char *const apart[] = { "llama", "internlm2", "baichuan", "qwen2", NULL };
    const oom_shape *s = &v->from->shape;
    uint64_t q = (uint64_t)s->heads * s->head_dim, k = (uint64_t)s->kv_heads * s->head_dim;
    const uint64_t parts[3] = { q, k, (uint64_t)s->kv_heads * s->v_head_dim };
    oom_tensor part = *t;

    if (!arch_in(v, apart) || t->dims[0] != parts[0] + parts[1] + parts[2]) {
        put(v, *t);
        return;
    }
    for (int i = 0; i < 3; i++) {
        part.role = (oom_role)(OOM_ROLE_ATTN_Q + i);
        part.dims[0] = parts[i];
        put(v, part);
    }
}

/* Experts' gate and up, stored in one cube by the checkpoint, are two in the file; Gemma 4's are
 * kept (gemma4.cpp: ffn_gate_up_exps). */
static void split_gate_up(view *v, const oom_tensor *t)
{
    oom_tensor half = *t;
    uint32_t rows = t->suffix == OOM_BIAS ? t->n_dims - 1 : t->n_dims - 2;

    if (arch_is(v, "gemma4") || t->n_dims < 2 || t->dims[rows] % 2) {
        put(v, *t);
        return;
    }
    half.dims[rows] /= 2;
    half.role = OOM_ROLE_EXP_GATE;
    put(v, half);
    half.role = OOM_ROLE_EXP_UP;
    put(v, half);
}

/* Gemma 3's text vocabulary has 262144 entries; the checkpoint's rows beyond belong to images and
 * sounds and are left out. */
#define GEMMA3_VOCAB 262144u

static void cut_vocabulary(view *v, oom_tensor t)
{
    if (strncmp(v->arch, "gemma3", 6) == 0 && t.n_dims == 2 && t.dims[0] > GEMMA3_VOCAB) {
        t.dims[0] = GEMMA3_VOCAB;
        v->to->shape.vocab_size = GEMMA3_VOCAB;
    }
    put(v, t);
}

/* Dimensions of length 1 go: convolutions [d, 1, k] and the shared expert's gate [1, d]. */
static void squeeze(view *v, oom_tensor t)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < t.n_dims; i++)
        if (t.dims[i] != 1)
            t.dims[n++] = t.dims[i];
    t.n_dims = n ? n : 1;
    put(v, t);
}

/* Norms that llama.cpp calls otherwise than the roles do. */
static oom_role renamed(const view *v, oom_role role)
{
    static const struct { const char *arch; oom_role ours, theirs; } names[] = {
        { "gpt-oss", OOM_ROLE_FFN_NORM, OOM_ROLE_ATTN_POST_NORM },
        { "glm4moe", OOM_ROLE_FFN_NORM, OOM_ROLE_ATTN_POST_NORM },
        { "seed_oss", OOM_ROLE_FFN_NORM, OOM_ROLE_ATTN_POST_NORM },
        { "lfm2", OOM_ROLE_OUTPUT_NORM, OOM_ROLE_EMBED_NORM },
        { "lfm2moe", OOM_ROLE_OUTPUT_NORM, OOM_ROLE_EMBED_NORM },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].ours == role && arch_is(v, names[i].arch))
            return names[i].theirs;
    return role;
}

/* Two stacks keep their names, but for the one that T5's file shortens. */
static const char *stack_name(view *v, const oom_tensor *t)
{
    static const char ours[] = ".attn_output.weight", theirs[] = ".attn_o.weight";
    char name[128];
    size_t n, stem;

    if (!tensor_in_stack(t))
        return NULL;
    n = strlen(t->name);
    if (t->role != OOM_ROLE_ATTN_O || t->suffix != OOM_WEIGHT || n >= sizeof name
        || n < sizeof ours - 1)
        return t->name;
    stem = n - (sizeof ours - 1);
    memcpy(name, t->name, stem);
    memcpy(name + stem, theirs, sizeof theirs);
    return oom_arena_text(v->to->arena, name, strlen(name), v->err);
}

/* Layers of Gemma 4 that read another's cache have no k and v in the file (gemma4.cpp); Gemma 3n's
 * keep them, as the checkpoints of both do. */
static bool reads_another_cache(const view *v, const oom_tensor *t)
{
    if (!arch_is(v, "gemma4") || t->layer < 0)
        return false;
    for (size_t i = 0; i < v->from->n_caches; i++)
        if (v->from->caches[i].layer == t->layer)
            return false;
    return true;
}

static void convert(view *v, const oom_tensor *from)
{
    static const char *const buffered[] = { "nemotron_h_moe", "lfm2moe", NULL };
    oom_tensor t = *from;

    t.name = stack_name(v, from);
    if (tensor_in_stack(from) && !t.name)
        v->status = OOM_NOMEM;
    t.stored = NULL;
    t.stored_bytes = 0;
    t.role = renamed(v, t.role);
    switch (t.role) {
    case OOM_ROLE_ATTN_K: case OOM_ROLE_ATTN_V: case OOM_ROLE_ATTN_K_NORM:
        if (!reads_another_cache(v, from))
            put(v, t);
        return;
    case OOM_ROLE_EMBED: case OOM_ROLE_OUTPUT: case OOM_ROLE_PL_EMBED:
        cut_vocabulary(v, t);
        return;
    case OOM_ROLE_ATTN_KV_B:
        split_kv_b(v, &t);
        return;
    case OOM_ROLE_ATTN_QKV:
        split_qkv(v, &t);
        return;
    case OOM_ROLE_EXP_GATE_UP:
        split_gate_up(v, &t);
        return;
    case OOM_ROLE_SSM_CONV: case OOM_ROLE_SHORTCONV_CONV: case OOM_ROLE_SHEXP_ROUTER:
        squeeze(v, t);
        return;
    case OOM_ROLE_ROUTER:
        put(v, t);
        if (arch_in(v, buffered))       /* the choice's bias: a buffer there, not a parameter */
            put(v, (oom_tensor){ .layer = t.layer, .role = OOM_ROLE_ROUTER_BIAS, .part = t.part,
                                 .suffix = OOM_BIAS, .n_dims = 1, .dims = { t.dims[0] } });
        return;
    case OOM_ROLE_SSM_A: case OOM_ROLE_SSM_D:
        t.suffix = OOM_BARE;
        put(v, t);
        return;
    case OOM_ROLE_ATTN_SINKS: case OOM_ROLE_LAYER_SCALE:
        t.suffix = OOM_WEIGHT;
        put(v, t);
        return;
    case OOM_ROLE_MTP_EMBED: case OOM_ROLE_MTP_HEAD: case OOM_ROLE_POOLER:
        return;                 /* the model's own embedding and head serve */
    default:
        put(v, t);
    }
}

/* ---- what is there beside the checkpoint's tensors ------------------------------------------ */

static void put_vector(view *v, oom_role role, uint64_t n)
{
    put(v, (oom_tensor){ .layer = -1, .role = role, .n_dims = 1, .dims = { n } });
}

/* A key of the configuration or of its text_config. */
static const oom_value *config_get(const oom_model *m, const char *key)
{
    const oom_value *v = oom_value_get(m->config, key);

    return v ? v : oom_value_get(oom_value_get(m->config, "text_config"), key);
}

/* The kind of rope scaling the configuration names; "" when it says there is none; NULL when it
 * does not speak of it (a short copy of a configuration). */
static const char *rope_scaling(const oom_model *m)
{
    static const char *const keys[] = { "rope_scaling", "rope_parameters" };

    for (size_t i = 0; i < 2; i++) {
        const oom_value *scaling = config_get(m, keys[i]);
        const oom_value *type = oom_value_get(scaling, "rope_type");

        if (!type)
            type = oom_value_get(scaling, "type");
        if (type && type->kind == OOM_STRING)
            return type->u.text;
        if (scaling)
            return "";
    }
    return NULL;
}

#define GEMMA4_GLOBAL_HEAD 512          /* configuration_gemma4.py: global_head_dim */

/* Llama 3.1 and later carry the factors of their rope as a tensor, half a head long. Where the
 * configuration is silent: Llama 4, and the Llamas with the vocabulary of 128256 and a context
 * that only the scaling reaches. */
static void add_rope_freqs(view *v)
{
    static const char *const llamas[] = { "llama", "deci", NULL };
    const oom_shape *s = &v->from->shape;
    const char *scaling = rope_scaling(v->from);
    bool llama3 = scaling && strcmp(scaling, "llama3") == 0;

    if (arch_is(v, "gemma4")) {             /* of its full layers (gemma4.cpp) */
        const oom_value *wide = config_get(v->from, "global_head_dim");

        put_vector(v, OOM_ROLE_ROPE_FREQS,
                   (wide && wide->kind == OOM_INT ? (uint64_t)wide->u.i : GEMMA4_GLOBAL_HEAD) / 2);
        return;
    }
    if (!scaling && arch_in(v, llamas) && s->vocab_size == 128256 && s->context > 8192) {
        llama3 = true;
        v->to->note = "rope factors of Llama 3.1 assumed from vocabulary and context";
    }
    if (llama3 || (!scaling && arch_is(v, "llama4")))
        put_vector(v, OOM_ROLE_ROPE_FREQS, s->head_dim / 2);
}

/* Phi-3's long contexts have two such tensors (phi3.cpp: n_rot / 2 each). Where the configuration
 * is silent: contexts of 128Ki. */
static void add_long_rope(view *v)
{
    static const char *const phi[] = { "phi3", "phimoe", NULL };
    const oom_shape *s = &v->from->shape;
    const char *scaling = rope_scaling(v->from);
    const oom_value *share = config_get(v->from, "partial_rotary_factor");
    bool is_long = scaling ? strcmp(scaling, "longrope") == 0 || strcmp(scaling, "su") == 0
                           : s->context >= 131072;
    uint64_t n = s->head_dim / 2;

    if (!arch_in(v, phi) || !is_long)
        return;
    if (share && share->kind == OOM_REAL && share->u.real > 0 && share->u.real < 1)
        n = (uint64_t)((double)s->head_dim * share->u.real) / 2;
    put_vector(v, OOM_ROLE_ROPE_LONG, n);
    put_vector(v, OOM_ROLE_ROPE_SHORT, n);
}

/* Converters that write a tied head as a tensor of its own (Falcon's checkpoints hold it; GPT-2's
 * and BLOOM's embedding is copied). */
static void add_head(view *v)
{
    static const char *const copied[] = { "falcon", "gpt2", "bloom", NULL };
    const oom_model *m = v->from;

    if (!m->shape.tied || !arch_in(v, copied))
        return;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == OOM_ROLE_EMBED) {
            put_matrix(v, m->tensors[i], OOM_ROLE_OUTPUT, m->tensors[i].dims[0],
                       m->tensors[i].dims[1]);
            v->to->shape.tied = false;
            return;
        }
}

/* ---- order ---------------------------------------------------------------------------------- */

/* The engine's: by layer, then by name (llama-model-loader.h: weight_name_comparer). '.' sorts
 * before '_' and letters, so a stem that begins another comes first, as the whole name would. */
static int32_t layer_in_name(const oom_tensor *t) { return tensor_in_stack(t) ? -1 : t->layer; }

static int in_order(const void *a, const void *b)
{
    static const int by_name[] = { 2, 1, 0 };       /* ".weight", ".bias", nothing */
    const oom_tensor *x = a, *y = b;
    int32_t of_x = layer_in_name(x), of_y = layer_in_name(y);
    char name_x[128], name_y[128];
    int order;

    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    if (x->name || y->name)
        return strcmp(oom_tensor_name(x, name_x, sizeof name_x),
                      oom_tensor_name(y, name_y, sizeof name_y));
    order = strcmp(oom_role_stem(x->role), oom_role_stem(y->role));
    return order ? order : by_name[x->suffix] - by_name[y->suffix];
}

static bool is_in_order(const oom_model *m)
{
    for (size_t i = 1; i < m->n_tensors; i++)
        if (in_order(&m->tensors[i - 1], &m->tensors[i]) > 0)
            return false;
    return true;
}

/* ---- the view ------------------------------------------------------------------------------- */

/* MTP blocks that llama.cpp's published files hold; other converters leave them behind. */
static bool keeps_mtp(const view *v)
{
    static const char *const kept[] = { "glm4moe", "glm-dsa", NULL };

    return arch_in(v, kept);
}

static void fill(view *v)
{
    const oom_model *m = v->from;
    bool mtp = keeps_mtp(v);

    for (size_t i = 0; i < m->n_tensors && v->status == OOM_OK; i++) {
        const oom_tensor *t = &m->tensors[i];

        /* towers are a file of their own (mmproj) */
        if (t->part == OOM_PART_TEXT || (t->part == OOM_PART_MTP && mtp))
            convert(v, t);
    }
    if (!mtp)
        v->to->shape.n_mtp_layers = 0;
    add_head(v);
    add_rope_freqs(v);
    add_long_rope(v);
}

static void copy(view *v)
{
    for (size_t i = 0; i < v->from->n_tensors && v->status == OOM_OK; i++)
        v->status = oom_model_add_tensor(v->to, &v->from->tensors[i], v->err);
}

static bool size_alone(const oom_model *m)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == OOM_ROLE_PARAMS)
            return true;
    return false;
}

oom_status gguf_view(oom_model *m, const oom_model **out, oom_error *err)
{
    view v = { .from = m, .arch = m->ggml_arch ? m->ggml_arch : "", .err = err };
    bool as_it_is = m->is_gguf || size_alone(m);

    if (!m->gguf && as_it_is && is_in_order(m))
        m->gguf = m;
    if (m->gguf) {
        *out = m->gguf;
        return OOM_OK;
    }
    if (!m->ggml_arch && !as_it_is)
        return oom_fail(err, OOM_NOTFOUND, "%s: llama.cpp does not know %s models, so there is no "
                        "GGUF file of it", m->id, m->family);
    v.to = oom_arena_get(m->arena, sizeof *v.to, err);
    if (!v.to)
        return OOM_NOMEM;
    *v.to = *m;                 /* arena, names, shape and caches are shared */
    v.to->tensors = NULL;
    v.to->n_tensors = v.to->cap_tensors = 0;
    v.to->is_gguf = true;
    v.to->from_file = m->from_file && as_it_is;
    if (as_it_is)
        copy(&v);
    else
        fill(&v);
    if (v.status != OOM_OK)
        return v.status;
    if (v.to->n_tensors)
        qsort(v.to->tensors, v.to->n_tensors, sizeof *v.to->tensors, in_order);
    v.to->gguf = v.to;
    m->gguf = v.to;
    *out = v.to;
    return OOM_OK;
}
