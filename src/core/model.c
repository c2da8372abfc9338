/* model.c: the inventory, two lists and sums over them. It knows nothing of architectures. */
#include "oom.h"
#include "num.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *stem; oom_split split; } roles[] = {
#define ROLE(id, stem, split) { stem, OOM_SPLIT_##split },
#include "roles.h"
#undef ROLE
};

const char *oom_role_stem(oom_role role) { return roles[role].stem; }
oom_split oom_role_split(oom_role role) { return roles[role].split; }

oom_model *oom_model_new(const oom_alloc *a, oom_error *err)
{
    oom_arena *arena = oom_arena_new(a, err);
    oom_model *m;

    if (!arena)
        return NULL;
    m = oom_arena_get(arena, sizeof *m, err);
    if (!m) {
        oom_arena_free(arena);
        return NULL;
    }
    m->arena = arena;
    m->id = "";
    m->family = "";
    m->attention = "none";
    return m;
}

void oom_model_free(oom_model *m)
{
    if (m)
        oom_arena_free(m->arena);
}

/* Room for one more element in a list that doubles within the arena. The old list stays behind
 * as waste, at most as much again as the list itself. */
static void *grown(oom_arena *arena, void *list, size_t n, size_t *cap, size_t each, oom_error *err)
{
    size_t new_cap = *cap ? *cap * 2 : 64;
    void *bigger;

    if (n < *cap)
        return list;
    bigger = oom_arena_get(arena, new_cap * each, err);
    if (!bigger)
        return NULL;
    if (n)
        memcpy(bigger, list, n * each);
    *cap = new_cap;
    return bigger;
}

oom_status oom_model_add_tensor(oom_model *m, const oom_tensor *t, oom_error *err)
{
    uint64_t params = 1;
    oom_tensor *list;
    char name[128];

    for (uint32_t i = 0; i < t->n_dims; i++)
        if (!mul_u64(params, t->dims[i], &params))
            return oom_fail(err, OOM_TOOLARGE, "tensor %s: more than 2^63 elements",
                            oom_tensor_name(t, name, sizeof name));
    list = grown(m->arena, m->tensors, m->n_tensors, &m->cap_tensors, sizeof *list, err);
    if (!list)
        return OOM_NOMEM;
    m->tensors = list;
    list[m->n_tensors] = *t;
    if (t->params == 0)
        list[m->n_tensors].params = params;
    m->n_tensors++;
    return OOM_OK;
}

oom_status oom_model_add_cache(oom_model *m, const oom_cache *c, oom_error *err)
{
    oom_cache *list = grown(m->arena, m->caches, m->n_caches, &m->cap_caches, sizeof *list, err);

    if (!list)
        return OOM_NOMEM;
    m->caches = list;
    list[m->n_caches++] = *c;
    return OOM_OK;
}

oom_status oom_model_count(const oom_model *m, oom_param_counts *counts, oom_error *err)
{
    oom_param_counts sum = { 0 };

    for (size_t i = 0; i < m->n_tensors; i++) {
        const oom_tensor *t = &m->tensors[i];
        uint64_t active = t->params;

        if (oom_role_split(t->role) == OOM_SPLIT_EXPERT && m->shape.experts)
            active = t->params / m->shape.experts * m->shape.experts_used;
        if (t->part == OOM_PART_MTP) {
            sum.mtp = sat_add(sum.mtp, t->params);
            continue;
        }
        if (t->part == OOM_PART_VISION)
            sum.vision = sat_add(sum.vision, t->params);
        if (t->part == OOM_PART_AUDIO)
            sum.audio = sat_add(sum.audio, t->params);
        sum.loaded = sat_add(sum.loaded, t->params);
        sum.active = sat_add(sum.active, active);
    }
    if (sum.loaded == SAT_TOOLARGE || sum.mtp == SAT_TOOLARGE)
        return oom_fail(err, OOM_TOOLARGE, "%s: more than 2^63 parameters", m->id);
    *counts = sum;
    return OOM_OK;
}

static bool grows_without_end(oom_cache_kind kind)
{
    return kind == OOM_CACHE_FULL || kind == OOM_CACHE_MLA || kind == OOM_CACHE_INDEXER
        || kind == OOM_CACHE_COMPRESSED;
}

uint64_t oom_model_kv_bytes_per_token(const oom_model *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->n_caches; i++) {
        const oom_cache *c = &m->caches[i];
        uint64_t row = sat_mul(2, sat_add(c->k_width, c->v_width));

        if (grows_without_end(c->kind))
            sum = sat_add(sum, row / max_u64(c->ratio, 1));
    }
    return min_u64(sum, OOM_MAX_BYTES);
}

const char *oom_tensor_name(const oom_tensor *t, char *buf, size_t buf_bytes)
{
    static const char *const suffix[] = { ".weight", ".bias", "" };

    if (t->name)
        snprintf(buf, buf_bytes, "%s", t->name);
    else if (t->layer < 0)
        snprintf(buf, buf_bytes, "%s%s", roles[t->role].stem, suffix[t->suffix]);
    else
        snprintf(buf, buf_bytes, "blk.%d.%s%s", (int)t->layer, roles[t->role].stem,
                 suffix[t->suffix]);
    return buf;
}
