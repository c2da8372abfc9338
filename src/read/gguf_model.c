/* gguf_model.c: from a GGUF header to an inventory: its tensors as they lie in the file and the
 * facts of the shape; gguf_caches.c adds the caches. Keys and defaults are those of llama.cpp
 * 0.5.0-dev (src/llama-model.cpp, src/models/). */
#include "gguf.h"
#include "num.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS 10000u

/* ---- keys ---- */

const gguf_entry *gguf_key(const gguf_reading *r, const char *suffix)
{
    char name[256];

    snprintf(name, sizeof name, "%s.%s", r->arch, suffix);
    return gguf_find(r->h, name);
}

/* Item i of a number, or of a list of them; `otherwise` where it is absent. */
uint64_t gguf_item(gguf_reading *r, const char *suffix, uint64_t i, uint64_t otherwise)
{
    const gguf_entry *e = gguf_key(r, suffix);
    uint64_t v;

    if (!e || r->status != OOM_OK)
        return otherwise;
    if (!gguf_uint(r->h, e, i, &v) || v > UINT32_MAX) {
        r->status = oom_fail(r->err, OOM_BADFILE, "%s: %s.%s: expected a whole number%s",
                             r->h->name, r->arch, suffix, e->is_list ? " for every layer" : "");
        return otherwise;
    }
    return v;
}

uint32_t gguf_want(gguf_reading *r, const char *suffix, uint32_t otherwise)
{
    return (uint32_t)gguf_item(r, suffix, 0, otherwise);
}

static uint32_t need(gguf_reading *r, const char *suffix, uint32_t most)
{
    uint32_t v = gguf_want(r, suffix, 0);

    if (r->status == OOM_OK && (v == 0 || v > most))
        r->status = oom_fail(r->err, OOM_BADFILE, "%s: %s.%s: expected a whole number from 1 to %u",
                             r->h->name, r->arch, suffix, most);
    return v;
}

bool gguf_arch_is(const gguf_reading *r, const char *name) { return strcmp(r->arch, name) == 0; }

/* ---- tensors ---- */

static void note_layer(gguf_reading *r, const gguf_place *p)
{
    unsigned char *l = &r->layers[p->layer];

    switch (p->role) {
    case OOM_ROLE_ATTN_K: case OOM_ROLE_ATTN_KV_A: case OOM_ROLE_ATTN_KV_B:
        *l |= GGUF_ATTENDS;
        break;
    case OOM_ROLE_ATTN_QKV:
        *l |= GGUF_FUSED;
        break;
    case OOM_ROLE_ATTN_K_B:
        *l |= GGUF_LATENT;
        break;
    case OOM_ROLE_INDEXER_K:
        *l |= GGUF_INDEXED;
        break;
    case OOM_ROLE_SSM_CONV: case OOM_ROLE_SHORTCONV_CONV: case OOM_ROLE_TIME_MIX_KEY:
        *l |= GGUF_RECURRENT;
        break;
    default:
        break;
    }
}

static void add_tensor(gguf_reading *r, const gguf_tensor *from, uint32_t n_layers)
{
    gguf_place p = gguf_place_of(from->name);
    oom_tensor t = { .layer = p.layer, .role = p.role, .part = p.part, .suffix = p.suffix,
                     .n_dims = from->n_dims, .stored = from->format, .stored_bytes = from->bytes };
    char quoted[128];

    if (p.part == OOM_PART_TEXT && p.layer >= (int32_t)r->n_blocks) {
        oom_text_quote(from->name.text, from->name.n, quoted, sizeof quoted);
        r->status = oom_fail(r->err, OOM_BADFILE,
                             "%s: tensor \"%s\" is beyond the %u blocks of the model",
                             r->h->name, quoted, r->n_blocks);
        return;
    }
    for (uint32_t i = 0; i < from->n_dims; i++)
        t.dims[i] = from->dims[from->n_dims - 1 - i];
    if (p.part == OOM_PART_TEXT && p.layer >= 0) {
        note_layer(r, &p);
        if (p.layer >= (int32_t)n_layers)
            t.part = OOM_PART_MTP;
    }
    t.name = oom_arena_text(r->m->arena, from->name.text, from->name.n, r->err);
    r->status = t.name ? oom_model_add_tensor(r->m, &t, r->err) : OOM_NOMEM;
}

static const oom_tensor *first_of(const oom_model *m, oom_role role)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == role && m->tensors[i].part == OOM_PART_TEXT &&
            m->tensors[i].suffix == OOM_WEIGHT)
            return &m->tensors[i];
    return NULL;
}

/* Of the widest feed-forward that is no expert's. */
static uint64_t dense_width(const oom_model *m)
{
    uint64_t most = 0;

    for (size_t i = 0; i < m->n_tensors; i++) {
        const oom_tensor *t = &m->tensors[i];

        if (t->role == OOM_ROLE_FFN_DOWN && t->part == OOM_PART_TEXT && t->suffix == OOM_WEIGHT)
            most = max_u64(most, t->dims[t->n_dims - 1]);
    }
    return most;
}

/* ---- shape ---- */

static uint32_t heads_at(gguf_reading *r, uint32_t layer)
{
    return (uint32_t)gguf_item(r, "attention.head_count", layer, 0);
}

uint32_t gguf_kv_heads(gguf_reading *r, uint32_t layer)
{
    return (uint32_t)gguf_item(r, "attention.head_count_kv", layer, heads_at(r, layer));
}

bool gguf_attends(const gguf_reading *r, uint32_t layer)
{
    unsigned char l = r->layers[layer];

    /* gated delta nets name their input "attn_qkv" as well */
    return (l & (GGUF_ATTENDS | GGUF_LATENT)) || ((l & GGUF_FUSED) && !(l & GGUF_RECURRENT));
}

static void read_shape(gguf_reading *r, oom_shape *s)
{
    const oom_model *m = r->m;
    const oom_tensor *embed = first_of(m, OOM_ROLE_EMBED), *up = first_of(m, OOM_ROLE_EXP_UP);
    const oom_tensor *shared = first_of(m, OOM_ROLE_SHEXP_UP);
    const gguf_entry *tokens = gguf_find(r->h, "tokenizer.ggml.tokens");
    uint32_t first = 0, heads;

    while (first + 1 < s->n_layers && !(gguf_attends(r, first) && gguf_kv_heads(r, first)))
        first++;
    heads = heads_at(r, first);
    s->heads = heads;
    s->kv_heads = gguf_kv_heads(r, first);
    s->head_dim = gguf_want(r, "attention.key_length",
                            heads ? (uint32_t)(s->hidden_size / heads) : 0);
    s->v_head_dim = gguf_want(r, "attention.value_length",
                              heads ? (uint32_t)(s->hidden_size / heads) : 0);
    s->head_dim = gguf_want(r, "attention.key_length_mla", s->head_dim);
    s->v_head_dim = gguf_want(r, "attention.value_length_mla", s->v_head_dim);
    s->kv_lora_rank = gguf_want(r, "attention.kv_lora_rank", 0);
    if (s->kv_lora_rank)
        s->rope_dim = gguf_want(r, "rope.dimension_count", 0);
    s->context = gguf_want(r, "context_length", 0);
    s->intermediate_size = dense_width(m);
    s->experts = gguf_want(r, "expert_count", 0);
    s->experts_used = (uint32_t)min_u64(gguf_want(r, "expert_used_count", 0), s->experts);
    if (up && up->n_dims >= 2)
        s->expert_width = up->dims[up->n_dims - 2];
    if (shared && shared->n_dims == 2)
        s->shared_width = shared->dims[0];
    s->vocab_size = gguf_want(r, "vocab_size",
                              embed && embed->n_dims == 2
                                  ? (uint32_t)min_u64(embed->dims[0], UINT32_MAX)
                              : tokens && tokens->is_list ? (uint32_t)tokens->n
                                                          : 0);
    s->tied = embed && !first_of(m, OOM_ROLE_OUTPUT);
}

/* ---- the whole ---- */

static const char *copy(gguf_reading *r, gguf_text t)
{
    const char *s = oom_arena_text(r->m->arena, t.text, t.n, r->err);

    if (!s)
        r->status = OOM_NOMEM;
    return s;
}

/* The text of a key; nothing where it is absent or something else. */
static gguf_text text_of(const gguf_header *h, const char *key)
{
    const gguf_entry *e = gguf_find(h, key);
    bool is_text = e && e->type == GGUF_STRING && !e->is_list;

    return is_text ? (gguf_text){ (const char *)e->data, e->text_bytes } : (gguf_text){ "", 0 };
}

static void read_arch(gguf_reading *r)
{
    gguf_text arch = text_of(r->h, "general.architecture"), name = text_of(r->h, "general.name");
    char family[80], title[128];
    bool good = arch.n > 0 && arch.n <= 64;

    for (size_t i = 0; good && i < arch.n; i++)
        good = isalnum((unsigned char)arch.text[i]) || memchr("-_.", arch.text[i], 3);
    if (!good) {
        r->status = oom_fail(r->err, OOM_BADFILE,
                             "%s: general.architecture: expected a name of 1 to 64 "
                             "letters, digits, - and _",
                             r->h->name);
        return;
    }
    r->arch = copy(r, arch);
    if (!r->arch)
        return;
    oom_text_quote(name.text, name.n, title, sizeof title);
    r->m->id = copy(r, (gguf_text){ title, strlen(title) });
    snprintf(family, sizeof family, "gguf:%s", r->arch);
    r->m->family = copy(r, (gguf_text){ family, strlen(family) });
    r->m->ggml_arch = r->arch;
}

/* All tensors of a model with so many blocks; those past n_layers predict further tokens. */
static void add_parts(gguf_reading *r, const gguf_header *parts, size_t n_parts, uint32_t n_blocks,
                      uint32_t n_layers)
{
    r->n_blocks = n_blocks;
    r->layers = oom_arena_get(r->work, n_blocks, r->err);
    if (!r->layers)
        r->status = OOM_NOMEM;
    for (size_t p = 0; p < n_parts; p++)
        for (size_t i = 0; i < parts[p].n_tensors && r->status == OOM_OK; i++)
            add_tensor(r, &parts[p].tensors[i], n_layers);
}

/* A projector file: a tower, without layers or caches of text. It stands alone, or joins the
 * model it belongs to. */
static void read_tower(gguf_reading *r, const gguf_header *parts, size_t n_parts)
{
    oom_shape *s = &r->m->shape;

    if (s->n_layers == 0)
        s->hidden_size = gguf_want(r, "vision.embedding_length",
                                   gguf_want(r, "audio.embedding_length", 0));
    add_parts(r, parts, n_parts, MAX_LAYERS, MAX_LAYERS);
}

static void read_text(gguf_reading *r, const gguf_header *parts, size_t n_parts)
{
    oom_shape *s = &r->m->shape;
    uint32_t mtp, n_blocks = need(r, "block_count", MAX_LAYERS);

    s->hidden_size = need(r, "embedding_length", UINT32_MAX);
    mtp = gguf_want(r, "nextn_predict_layers", 0);
    if (r->status == OOM_OK && mtp >= n_blocks)
        r->status = oom_fail(r->err, OOM_BADFILE, "%s: %u of %u blocks predict further tokens",
                             r->h->name, mtp, n_blocks);
    if (r->status != OOM_OK)
        return;
    s->n_mtp_layers = mtp;
    s->n_layers = n_blocks - mtp;
    add_parts(r, parts, n_parts, n_blocks, s->n_layers);
    if (r->status != OOM_OK)
        return;
    read_shape(r, s);
    gguf_read_caches(r);
    r->m->attention = oom_attention_label(r->m);
}

static oom_status check_split(const gguf_header *parts, size_t n_parts, oom_error *err)
{
    for (size_t p = 0; p < n_parts; p++) {
        uint64_t count = 1, no = 0;

        gguf_uint(&parts[p], gguf_find(&parts[p], "split.count"), 0, &count);
        gguf_uint(&parts[p], gguf_find(&parts[p], "split.no"), 0, &no);
        if (count == 0)
            count = 1;
        if (count != n_parts)
            return oom_fail(
                err, OOM_BADFILE, "%s: part of a model in %llu files, of which %zu %s here",
                parts[p].name, (unsigned long long)count, n_parts, n_parts == 1 ? "is" : "are");
        if (no != p)
            return oom_fail(err, OOM_BADFILE, "%s: says it is part %llu, expected part %zu",
                            parts[p].name, (unsigned long long)no + 1, p + 1);
    }
    return OOM_OK;
}

static void check_kind(gguf_reading *r)
{
    gguf_text t = text_of(r->h, "general.type");

    if (gguf_text_is(t, "adapter") || gguf_text_is(t, "imatrix") || gguf_text_is(t, "vocab"))
        r->status = oom_fail(r->err, OOM_BADFILE, "%s: is %s %.*s file, expected a model",
                             r->h->name, t.text[0] == 'v' ? "a" : "an", (int)t.n, t.text);
}

static oom_status read_all(oom_model *m, oom_arena *work, const read_part *parts, size_t n_parts,
                           oom_error *err)
{
    gguf_header *headers = oom_arena_get(work, n_parts * sizeof *headers, err);
    gguf_reading r = { .m = m, .h = headers, .work = work, .arch = "", .err = err };

    if (!headers)
        return OOM_NOMEM;
    for (size_t p = 0; p < n_parts && r.status == OOM_OK; p++)
        r.status = gguf_parse(work, &parts[p], &headers[p], err);
    if (r.status == OOM_OK)
        r.status = check_split(headers, n_parts, err);
    if (r.status == OOM_OK)
        check_kind(&r);
    if (r.status == OOM_OK && m->n_tensors > 0) {
        r.arch = "clip";
        if (!gguf_text_is(text_of(r.h, "general.architecture"), r.arch))
            return oom_fail(err, OOM_BADFILE,
                            "%s: a model of its own, expected a projector (mmproj)", r.h->name);
        read_tower(&r, headers, n_parts);
        return r.status;
    }
    if (r.status == OOM_OK)
        read_arch(&r);
    if (r.status != OOM_OK)
        return r.status;
    m->from_file = m->is_gguf = true;
    if (gguf_arch_is(&r, "clip"))
        read_tower(&r, headers, n_parts);
    else
        read_text(&r, headers, n_parts);
    if (r.status == OOM_OK && m->n_tensors == 0)
        return oom_fail(err, OOM_BADFILE, "%s: a header without tensors", r.h->name);
    return r.status;
}

oom_status read_gguf_parts(oom_model *m, const read_part *parts, size_t n_parts, oom_error *err)
{
    oom_arena *work = oom_arena_new(oom_arena_alloc(m->arena), err);
    oom_status status = work ? read_all(m, work, parts, n_parts, err) : OOM_NOMEM;

    oom_arena_free(work);
    return status;
}

oom_status read_gguf(oom_model *m, const char *name, const void *bytes, size_t n, oom_error *err)
{
    char quoted[128];
    read_part part = { read_quote_path(name, quoted, sizeof quoted), bytes, n };

    return read_gguf_parts(m, &part, 1, err);
}
