/* gguf_caches.c: the caches that llama.cpp makes for a GGUF model. Which layers have which is read
 * from the tensors they hold; only the windows, which no tensor shows, need a table by
 * architecture. Rules and defaults are those of llama.cpp 0.5.0-dev (src/llama-hparams.cpp,
 * src/llama-model.cpp, src/models/). */
#include "gguf.h"
#include "num.h"

#include <string.h>

static bool arch_in(const gguf_reading *r, const char *const *list)
{
    for (; *list; list++)
        if (gguf_arch_is(r, *list))
            return true;
    return false;
}

/* ---- windows ---- */

typedef struct {
    const char *arch;
    uint32_t window;                /* where the file does not say; 0: then there is none */
    uint32_t period;                /* the last layer of each is full, */
    bool first;                     /* or the first one */
    uint32_t only_layers;           /* of models with this many layers; 0: any */
} window_rule;

static const window_rule window_rules[] = {
    { "gemma2", 4096, 2, false, 0 },    { "gemma3", 0, 6, false, 0 },
    { "gemma3n", 0, 5, false, 0 },      { "gpt-oss", 0, 2, false, 0 },
    { "cohere2", 0, 4, false, 0 },      { "cohere2moe", 0, 4, true, 0 },
    { "llama4", 8192, 4, false, 0 },    { "olmo2", 0, 4, false, 0 },
    { "exaone4", 4096, 4, false, 64 },  { "exaone-moe", 128, 4, false, 0 },
    { "smallthinker", 4096, 4, true, 0 }, { "afmoe", 0, 4, false, 0 },
    { "plamo3", 0, 8, false, 0 },
};

typedef struct {
    uint32_t window;                /* 0: every layer is full */
    uint32_t period;
    bool first;
    const gguf_entry *pattern;      /* true for each windowed layer; NULL: by period */
} windows;

/* A file of another architecture may name a window that llama.cpp makes nothing of (phi3,
 * mistral's in llama); with a pattern beside it, it is used. */
static windows read_windows(gguf_reading *r)
{
    const gguf_entry *pattern = gguf_key(r, "attention.sliding_window_pattern");
    const window_rule *rule = NULL;
    windows w = { 0 };

    for (size_t i = 0; i < sizeof window_rules / sizeof *window_rules; i++)
        if (gguf_arch_is(r, window_rules[i].arch) &&
            (!window_rules[i].only_layers || window_rules[i].only_layers == r->m->shape.n_layers))
            rule = &window_rules[i];
    if (!rule && !pattern)
        return w;
    w.window = gguf_want(r, "attention.sliding_window", rule ? rule->window : 0);
    if (gguf_arch_is(r, "llama4") && w.window)
        w.window = 8192;            /* whatever the file says */
    if (rule) {
        w.period = rule->period;
        w.first = rule->first;
    }
    if (pattern && pattern->is_list)
        w.pattern = pattern;
    else if (pattern)
        w.period = gguf_want(r, "attention.sliding_window_pattern", w.period);
    return w;
}

static bool windowed(gguf_reading *r, const windows *w, uint32_t layer)
{
    if (w->window == 0)
        return false;
    if (w->pattern)
        return gguf_item(r, "attention.sliding_window_pattern", layer, 0) != 0;
    if (w->period == 0)
        return true;
    return w->first ? layer % w->period != 0 : layer % w->period < w->period - 1;
}

/* ---- caches ---- */

static void add_cache(gguf_reading *r, oom_cache c, uint32_t layer)
{
    c.layer = (int32_t)layer;
    if (r->status == OOM_OK)
        r->status = oom_model_add_cache(r->m, &c, r->err);
}

/* llama-hparams.cpp, n_embd_k_gqa and n_embd_v_gqa; MLA keeps one latent row and no V. */
static void add_attention(gguf_reading *r, const windows *w, uint32_t layer)
{
    const oom_shape *s = &r->m->shape;
    uint32_t kv_heads = gguf_kv_heads(r, layer);
    uint32_t k = gguf_want(r, "attention.key_length", s->head_dim);
    uint32_t v = gguf_want(r, "attention.value_length", s->v_head_dim);
    bool window = windowed(r, w, layer);
    oom_cache c = { .kv_heads = kv_heads };

    if (kv_heads == 0)
        return;
    if (r->layers[layer] & GGUF_LATENT) {
        c.kind = OOM_CACHE_MLA;
        c.kv_heads = 1;
        c.k_width = s->kv_lora_rank ? (uint64_t)s->kv_lora_rank + s->rope_dim
                                    : (uint64_t)k * kv_heads;
        add_cache(r, c, layer);
    } else {
        if (window) {
            k = gguf_want(r, "attention.key_length_swa", k);
            v = gguf_want(r, "attention.value_length_swa", v);
        }
        c.kind = !window                     ? OOM_CACHE_FULL
                 : gguf_arch_is(r, "llama4") ? OOM_CACHE_CHUNK
                                             : OOM_CACHE_WINDOW;
        c.window = window ? w->window : 0;
        c.k_width = (uint64_t)k * kv_heads;
        c.v_width = (uint64_t)v * kv_heads;
        add_cache(r, c, layer);
    }
    if (r->layers[layer] & GGUF_INDEXED) {
        uint32_t width = gguf_want(r, "attention.indexer.key_length", 0);

        if (width)
            add_cache(r, (oom_cache){ .kind = OOM_CACHE_INDEXER, .kv_heads = 1, .k_width = width },
                      layer);
    }
}

/* llama-hparams.cpp, n_embd_r and n_embd_s: fp32 whatever the cache's type. */
static void add_state(gguf_reading *r, uint32_t layer)
{
    uint64_t hidden = r->m->shape.hidden_size, inner = gguf_want(r, "ssm.inner_size", 0);
    uint64_t state = gguf_want(r, "ssm.state_size", 0), groups = gguf_want(r, "ssm.group_count", 0);
    uint64_t wkv = gguf_want(r, "wkv.head_size", 0), kda = gguf_want(r, "kda.head_dim", 0);
    uint32_t l_cache = gguf_want(r, "shortconv.l_cache", 0),
             conv = gguf_want(r, "ssm.conv_kernel", 0);
    uint32_t ranks = gguf_want(r, "ssm.time_step_rank", 1);
    oom_cache c = { .kind = OOM_CACHE_STATE, .state_bytes_each = 4, .conv_kernel = conv };

    if (wkv) {
        c.conv_width = hidden;
        c.conv_kernel = 1 + gguf_want(r, "token_shift_count", 2);
        c.state_elements = hidden * wkv;
        c.state_heads = (uint32_t)(hidden / wkv);
    } else if (l_cache) {
        c.conv_width = hidden;
        c.conv_kernel = l_cache;
        c.state_heads = (uint32_t)hidden;
    } else if (kda) {
        c.state_heads = gguf_want(r, "attention.head_count", 1);
        c.conv_width = sat_mul(3 * kda, c.state_heads);
        c.conv_kernel = conv ? conv : 4;
        c.state_elements = sat_mul(kda * kda, c.state_heads);
    } else {
        c.conv_width = sat_add(inner, sat_mul(2 * groups, state));
        c.state_elements = inner * state;
        c.state_heads = groups ? ranks : (uint32_t)inner;
    }
    if (c.state_elements > OOM_MAX_BYTES || c.conv_width > OOM_MAX_BYTES)
        r->status = oom_fail(r->err, OOM_TOOLARGE,
                             "%s: a recurrent state of more than 2^63 elements", r->h->name);
    add_cache(r, c, layer);
}

void gguf_read_caches(gguf_reading *r)
{
    static const char *const without[] = {      /* llama-model.cpp: create_memory */
        "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert",
        "modern-bert", "eurobert", "gemma-embedding", "t5encoder", "dream", "llada", "llada-moe",
        "rnd1", "wavtokenizer-dec", NULL };
    const oom_shape *s = &r->m->shape;
    windows w = read_windows(r);
    /* Gemma 3n and 4: the last layers read the cache of earlier ones (gemma3n.cpp: 20 have one) */
    uint32_t shared = gguf_want(r, "attention.shared_kv_layers", 0);
    uint32_t own = shared < s->n_layers ? s->n_layers - shared : 0;

    if (gguf_arch_is(r, "gemma3n") && shared == 0)
        own = 20;
    r->m->shape.encoder_only = arch_in(r, without);
    r->m->shape.encoder_decoder = gguf_arch_is(r, "t5");
    for (uint32_t i = 0; i < s->n_layers && r->status == OOM_OK && !s->encoder_only; i++) {
        if (gguf_attends(r, i) && i < own)
            add_attention(r, &w, i);
        if (r->layers[i] & GGUF_RECURRENT)
            add_state(r, i);
    }
}
