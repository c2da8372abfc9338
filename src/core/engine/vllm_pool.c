/* vllm_pool.c: the pool of blocks: how layers form groups, what a block holds, how many blocks a
 * request takes. It knows nothing of budgets. After vLLM's v1/core/kv_cache_utils.py and
 * kv_cache_interface.py; the block of hybrids after model_executor/models/config.py. */
#include "vllm.h"

#define BLOCK_TOKENS 16                 /* default block_size on CUDA (config/cache.py) */

/* Keys of the sparse indexer: fp8, and an fp32 scale for every 128 of them. */
static uint64_t indexer_row(uint64_t width) { return width + 4 * div_up(width, 128); }

/* A latent in the "fp8_ds_mla" layout: fp8 with an fp32 scale for every 128, the rotary part left
 * at 16 bits: 512 + 16 + 128 = 656 bytes for DeepSeek's 576 elements. */
static uint64_t sparse_fp8_row(const oom_plan *p, const plan_kind *k)
{
    uint64_t rope = min_u64(p->model->shape.rope_dim, k->k_width), latent = k->k_width - rope;

    return latent + 4 * div_up(latent, 128) + 2 * rope;
}

static bool has_kind(const oom_plan *p, oom_cache_kind kind)
{
    for (uint32_t i = 0; i < p->n_kinds; i++)
        if (p->kinds[i].kind == kind)
            return true;
    return false;
}

static uint64_t row_of(const oom_plan *p, const plan_kind *k)
{
    bool fp8 = p->options.kv_k->block_bytes == p->options.kv_k->block;

    if (k->kind == OOM_CACHE_INDEXER)
        return indexer_row(k->k_width);
    if (k->kind == OOM_CACHE_MLA && fp8 && has_kind(p, OOM_CACHE_INDEXER))
        return sparse_fp8_row(p, k);
    if (k->kind == OOM_CACHE_MLA && vllm_of(p)->version < VLLM_V1)  /* 576 became 640 (a log) */
        return k->k_row_bytes / k->k_width * pad_up(k->k_width, 128);
    return k->k_row_bytes + k->v_row_bytes;
}

/* Grows with every token of the request, in this version. */
static bool grows(const vllm_own *own, const plan_kind *k)
{
    switch (k->kind) {
    case OOM_CACHE_FULL: case OOM_CACHE_MLA: case OOM_CACHE_INDEXER: case OOM_CACHE_COMPRESSED:
        return true;
    case OOM_CACHE_WINDOW: case OOM_CACHE_CHUNK:
        return !own->windows;
    case OOM_CACHE_CROSS:               /* V0 gave cross attention a cache of the text's length */
        return own->version < VLLM_V1;
    case OOM_CACHE_STATE:
        break;
    }
    return false;
}

void vllm_pool_prepare(const oom_plan *p, vllm_own *own)
{
    uint64_t block = p->options.block_size ? p->options.block_size : BLOCK_TOKENS;
    uint64_t state = 0, row = 0;

    own->one_group = true;
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];

        own->row_bytes[i] = row_of(p, k);
        if (k->kind == OOM_CACHE_STATE)
            state = max_u64(state, k->state_bytes);
        else
            row = max_u64(row, own->row_bytes[i]);
        own->one_group = own->one_group && grows(own, k);
    }
    /* A page of attention must not be smaller than the state of a recurrent layer: the block
     * grows in steps of 16 tokens until it is not. */
    if (state && row)
        block = max_u64(block, pad_up(div_up(state, row), 16));
    own->printed_block = block;
    own->page_bytes = own->one_group ? 0 : max_u64(sat_mul(block, row), state);
    /* smaller rows, and such as stand for several tokens: more tokens in the same page */
    for (uint32_t i = 0; i < p->n_kinds; i++)
        own->block_tokens[i] = own->one_group || !own->row_bytes[i] ? block
                             : max_u64(own->page_bytes / own->row_bytes[i], 1) * p->kinds[i].ratio;
}

vllm_pool vllm_pool_of(const oom_plan *p, uint32_t s)
{
    const plan_stage *stage = &p->stages[s];
    const vllm_own *own = vllm_of(p);
    uint32_t least = UINT32_MAX, most = 0;
    vllm_pool pool = { 0 };

    if (own->one_group) {               /* compressed rows never: their rest is a state */
        for (uint32_t i = 0; i < p->n_kinds; i++)
            pool.block_bytes = sat_add(pool.block_bytes,
                                       sat_mul(sat_mul(stage->layers[i], own->printed_block),
                                               own->row_bytes[i]));
        pool.n_groups = 1;
        return pool;
    }
    for (uint32_t i = 0; i < p->n_kinds; i++)
        if (stage->layers[i]) {
            least = (uint32_t)min_u64(least, stage->layers[i]);
            most = (uint32_t)max_u64(most, stage->layers[i]);
        }
    if (!most)
        return pool;
    /* the smallest type sets the size of a group, unless the types are nearly alike */
    pool.group_layers = 2 * (uint64_t)most < 3 * (uint64_t)least ? most : least;
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        pool.groups[i] = (uint32_t)div_up(stage->layers[i], pool.group_layers);
        pool.n_groups += pool.groups[i];
    }
    pool.block_bytes = sat_mul(pool.group_layers, own->page_bytes);
    return pool;
}

uint64_t vllm_blocks(const oom_plan *p, uint32_t i, const oom_load *load, uint64_t flight)
{
    const plan_kind *k = &p->kinds[i];
    const vllm_own *own = vllm_of(p);
    uint64_t block = own->block_tokens[i];

    if (grows(own, k))
        return div_up(load->seq, block);
    switch (k->kind) {
    case OOM_CACHE_WINDOW:              /* from 0.26 two steps are in flight */
        flight = own->version >= 26 ? sat_mul(2, flight) : flight;
        return div_up(min_u64(sat_add(k->window - 1, flight), load->seq), block) + 1;
    case OOM_CACHE_CHUNK:
        return div_up(min_u64(sat_add(k->window, flight), load->seq), block);
    case OOM_CACHE_CROSS:
        return div_up(plan_rows(k, load), block);
    default:                            /* a state: one more where prefixes are kept */
        return p->options.prefix_caching == OOM_YES ? 2 : 1;
    }
}

uint64_t vllm_request_blocks(const oom_plan *p, const vllm_pool *pool, const oom_load *load,
                             uint64_t flight)
{
    uint64_t sum = 0;

    if (vllm_of(p)->one_group)
        return div_up(load->seq, vllm_of(p)->printed_block);
    for (uint32_t i = 0; i < p->n_kinds; i++)
        if (pool->groups[i])
            sum = sat_add(sum, sat_mul(pool->groups[i], vllm_blocks(p, i, load, flight)));
    return sum;
}
