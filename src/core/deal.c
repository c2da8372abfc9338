/* deal.c: how weights and caches are dealt to ranks: stages of layers, cut matrices, replicated
 * heads. What an engine adds to a rank is the engine's. */
#include "plan.h"

#include <assert.h>
#include <string.h>

/* ---- dealing weights to ranks --------------------------------------------------------------- */

uint64_t plan_rank_bytes(const oom_plan *p, const oom_tensor *t, uint64_t bytes)
{
    const oom_shape *s = &p->model->shape;
    uint32_t tp = p->options.tp, ep = p->options.ep;
    uint32_t kv = s->kv_heads ? s->kv_heads : 1;
    uint64_t heads = s->heads + 2 * (uint64_t)kv;       /* of q, k and v */

    if (t->part != OOM_PART_TEXT)       /* towers are small and replicated by every engine here */
        return bytes;
    switch (oom_role_split(t->role)) {
    case OOM_SPLIT_NONE:
        return bytes;
    case OOM_SPLIT_EXPERT:              /* whole experts when they are spread, else their width */
        if (ep > 1)
            return sat_mul(bytes / s->experts, div_up(s->experts, ep));
        break;
    case OOM_SPLIT_KV:                  /* heads are whole; replicated when there are too few */
        return tp <= kv ? div_up(bytes, tp) : div_up(bytes, kv);
    case OOM_SPLIT_COLUMN:              /* fused q, k and v: of each head as many rows */
        if (t->role == OOM_ROLE_ATTN_QKV && tp > kv && t->dims[0] == heads * s->head_dim)
            return sat_add(div_up(bytes / heads * s->heads, tp), bytes / heads * 2);
        break;
    case OOM_SPLIT_ROW: case OOM_SPLIT_VOCAB:
        break;
    }
    return div_up(bytes, tp);
}

static bool at_the_end(oom_role role)
{
    return role == OOM_ROLE_OUTPUT || role == OOM_ROLE_OUTPUT_NORM || role == OOM_ROLE_EMBED_OUT;
}

static uint32_t stage_of_layer(const oom_plan *p, int32_t layer)
{
    for (uint32_t s = 0; s + 1 < p->n_stages; s++)
        if ((uint32_t)layer < p->stages[s].first_layer + p->stages[s].n_layers)
            return s;
    return p->n_stages - 1;
}

uint32_t plan_stage_of(const oom_plan *p, const oom_tensor *t)
{
    return t->layer >= 0 && t->part == OOM_PART_TEXT ? stage_of_layer(p, t->layer)
         : at_the_end(t->role) ? p->n_stages - 1 : 0;
}

oom_status plan_place(oom_plan *p, const uint64_t *tensor_bytes, oom_error *err)
{
    const oom_model *inv = p->inventory;

    (void)err;
    for (size_t i = 0; i < inv->n_tensors; i++) {
        const oom_tensor *t = &inv->tensors[i];
        uint64_t bytes = plan_rank_bytes(p, t, tensor_bytes[i]);
        uint32_t stage = plan_stage_of(p, t);

        if (t->part == OOM_PART_MTP)    /* ordinary inference does not load it */
            continue;
        p->stages[stage].weights = sat_add(p->stages[stage].weights, bytes);
        /* a tied head needs the embedding on the last stage, too */
        if (t->role == OOM_ROLE_EMBED && inv->shape.tied && p->n_stages > 1)
            p->stages[p->n_stages - 1].weights =
                sat_add(p->stages[p->n_stages - 1].weights, bytes);
    }
    return OOM_OK;
}

/* Layers in stages as even as can be; the middle stages take the remainder, because the first
 * holds the embedding and the last the head (vLLM: get_pp_indices). */
void plan_cut_stages(oom_plan *p, uint32_t n_layers)
{
    uint32_t n = p->n_stages, each = n_layers / n, rest = n_layers % n, first = 0;

    for (uint32_t s = 0; s < n; s++) {
        uint32_t from_end = n - 1 - s;  /* 1 … rest get one more */
        uint32_t extra = n > 1 && from_end >= 1 && from_end <= rest;

        p->stages[s].first_layer = first;
        p->stages[s].n_layers = each + extra;
        first += each + extra;
    }
    p->stages[n - 1].n_layers += n_layers - first;
}

/* ---- caches ---------------------------------------------------------------------------------- */

static uint64_t per_rank(uint64_t heads, uint32_t tp)
{
    return heads <= tp ? 1 : div_up(heads, tp);
}

static oom_status make_kind(const oom_plan *p, const oom_cache *c, plan_kind *k, oom_error *err)
{
    uint32_t tp = p->options.tp;
    oom_status st;

    assert(tp > 0);                     /* check_degrees */
    memset(k, 0, sizeof *k);
    k->kind = c->kind;
    k->window = c->window;
    k->ratio = c->ratio ? c->ratio : 1;
    if (c->kind == OOM_CACHE_STATE) {
        uint64_t cut = max_u64(1, min_u64(tp, c->state_heads));

        k->conv_elements = div_up(sat_mul(c->conv_width, c->conv_kernel ? c->conv_kernel - 1 : 0),
                                  cut);
        k->state_elements = div_up(c->state_elements, cut);
        k->state_bytes = sat_add(sat_mul(k->conv_elements, p->element_bytes),
                                 sat_mul(k->state_elements, c->state_bytes_each));
        return OOM_OK;
    }
    k->kv_heads = (uint32_t)per_rank(c->kv_heads ? c->kv_heads : 1, tp);
    if (c->kind == OOM_CACHE_MLA || c->kind == OOM_CACHE_INDEXER || c->kind == OOM_CACHE_COMPRESSED
        || c->kv_heads <= 1) {          /* one latent row, on every rank */
        k->k_width = c->k_width;
        k->v_width = c->v_width;
    } else {
        k->k_width = c->k_width / c->kv_heads * k->kv_heads;
        k->v_width = c->v_width / c->kv_heads * k->kv_heads;
    }
    st = oom_format_row_bytes(p->options.kv_k, k->k_width, &k->k_row_bytes, err);
    if (st == OOM_OK)
        st = oom_format_row_bytes(p->options.kv_v, k->v_width, &k->v_row_bytes, err);
    return st;
}

oom_status plan_gather_kinds(oom_plan *p, oom_error *err)
{
    for (size_t i = 0; i < p->model->n_caches; i++) {
        const oom_cache *c = &p->model->caches[i];
        plan_kind k;
        uint32_t j;
        oom_status st = make_kind(p, c, &k, err);

        if (st != OOM_OK)
            return st;
        for (j = 0; j < p->n_kinds; j++)
            /* make_kind clears it. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
            if (memcmp(&p->kinds[j], &k, sizeof k) == 0)
                break;
        if (j == PLAN_KINDS)
            return oom_fail(err, OOM_TOOLARGE, "%s: more than %d different caches",
                            p->model->id, PLAN_KINDS);
        if (j == p->n_kinds)
            p->kinds[p->n_kinds++] = k;
        p->stages[stage_of_layer(p, c->layer)].layers[j]++;
    }
    return OOM_OK;
}
