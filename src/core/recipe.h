/* recipe.h: what recipe.c, which knows the names, shares with the files that each know one kind of
 * recipe: recipe_gguf.c (llama.cpp's files) and recipe_hf.c (checkpoints of the other tools). */
#ifndef OOM_RECIPE_H
#define OOM_RECIPE_H

#include "num.h"
#include "oom.h"

#include <string.h>

/* Bytes per tensor and their sum, as a recipe weighs an inventory. `each` may be NULL. The sum
 * leaves multi-token prediction apart, as ordinary inference does. */
typedef struct { const oom_model *inventory; uint64_t *each; uint64_t sum; } scale;

static inline void scale_put(scale *s, size_t i, uint64_t bytes)
{
    if (s->each)
        s->each[i] = bytes;
    if (s->inventory->tensors[i].part != OOM_PART_MTP || bytes == SAT_TOOLARGE)
        s->sum = sat_add(s->sum, bytes);
}

/* Length of a row (the fastest dimension) and how many rows the tensor has; a scalar is one row
 * of one element. */
static inline uint64_t tensor_row(const oom_tensor *t)
{
    return t->n_dims ? t->dims[t->n_dims - 1] : 1;
}

static inline uint64_t tensor_rows(const oom_tensor *t)
{
    uint64_t rows = 1;

    for (uint32_t i = 0; i + 1 < t->n_dims; i++)
        rows = sat_mul(rows, t->dims[i]);
    return rows;
}

/* Bytes of the whole tensor in one format: rows times whole blocks. */
static inline uint64_t tensor_bytes_in(const oom_tensor *t, const oom_format *f)
{
    return sat_mul(tensor_rows(t), sat_mul(div_up(tensor_row(t), f->block), f->block_bytes));
}

/* Layers of an encoder and a decoder beside it, "enc.blk.0.attn_q.weight": the engine reads layer
 * numbers only from names that begin with "blk.". */
static inline bool tensor_in_stack(const oom_tensor *t)
{
    return t->name && (strncmp(t->name, "enc.", 4) == 0 || strncmp(t->name, "dec.", 4) == 0);
}

/* oom_precision_weigh and oom_precision_formats in one; formats may be NULL. */
oom_status precision_weigh(const oom_model *inventory, const oom_precision *p,
                           uint64_t *tensor_bytes, const oom_format **formats, uint64_t *total,
                           oom_error *err);

/* ---- llama.cpp's file recipes (recipe_gguf.c) ----------------------------------------------- */

size_t gguf_recipe_count(void);
const char *gguf_recipe_at(size_t i, const char **meaning);     /* meaning NULL: not asked */

/* The format each tensor of a GGUF inventory gets, and what that weighs. Either may be NULL;
 * `each` has room for n_tensors. */
oom_status gguf_recipe_apply(const oom_model *m, uint32_t recipe, const oom_format **each, scale *s,
                             oom_error *err);

/* The GGUF inventory of a model, built once in its arena (gguf_view.c). */
oom_status gguf_view(oom_model *m, const oom_model **out, oom_error *err);

/* ---- recipes of the other tools (recipe_hf.c) ----------------------------------------------- */

size_t hf_recipe_count(void);
const char *hf_recipe_at(size_t i, const char **meaning);
bool hf_recipe_parse(const char *name, oom_precision *p);       /* name folded: lower case, - */
oom_status hf_recipe_weigh(const oom_precision *p, scale *s, oom_error *err);

#endif
