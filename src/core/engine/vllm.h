/* vllm.h: what the files of the vllm engine share. */
#ifndef VLLM_H
#define VLLM_H

#include "plan.h"
#include "torch.h"

/* How vLLM deals a cache out of one pool of equal blocks. Layers of one type are cut into groups of
 * g layers; a block holds one page of each layer of a group, so that every group draws from the
 * same pool. A request takes blocks[i] of them for each group of its kind i. */
typedef struct {
    uint64_t block_bytes;               /* of one rank */
    uint64_t group_layers;              /* g; 0: one group of unlike layers, all of one type */
    uint32_t groups[PLAN_KINDS], n_groups;
} vllm_pool;

/* The engine's numbers, worked out once. */
typedef struct {
    uint32_t version;                   /* minor of 0.x: the one whose rules hold */
    bool looks;                         /* text looks at the image: Llama 3.2 Vision */
    bool mxfp4;                         /* experts in 4 bits with shared exponents */
    bool lets_go, copies_input;         /* what V0's layers do (vllm_peak.c) */
    bool windows;                       /* sliding and chunked layers keep their window only */
    bool one_group;                     /* every layer grows with every token */
    uint64_t page_bytes;                /* of one layer in one block; 0: one group */
    uint64_t block_tokens[PLAN_KINDS];  /* tokens in a page of this kind */
    uint64_t row_bytes[PLAN_KINDS];     /* per token and layer */
    uint64_t printed_block;             /* the block size the engine prints */
    bool sees;                          /* has a vision tower */
    /* the largest image V1 profiles, 0: not known; as many of them as make a film; and what the
     * tower holds of one while it runs, 0: not known */
    uint64_t image_tokens, image_bytes, film, image_peak;
    bool windowed;                      /* some layers keep a window */
    /* bytes that loading adds to a rank of each stage: tables, what weights become, and what the
     * allocator does not split off */
    uint64_t rotary, added[PLAN_STAGES], slack[PLAN_STAGES];
    uint64_t width, convolution;        /* widest feed-forward, recurrent layer; on one rank */
} vllm_own;

_Static_assert(sizeof(vllm_own) <= PLAN_OWN_ZERO, "the engine's numbers are zero at first");

static inline const vllm_own *vllm_of(const oom_plan *p) { return (const vllm_own *)p->own.bytes; }

#define VLLM_V1 8                       /* until then, and for some models to 0.10, V0 */

/* ---- weights (vllm_weights.c) ---- */

oom_status vllm_place(oom_plan *p, const uint64_t *tensor_bytes, const oom_format *const *formats,
                      oom_error *err);
/* What a rank of a stage holds beside the tensors dealt to it. */
uint64_t vllm_added(const oom_plan *p, uint32_t stage, const oom_listener *l);

/* ---- the pool (vllm_pool.c) ---- */

void vllm_pool_prepare(const oom_plan *p, vllm_own *own);
vllm_pool vllm_pool_of(const oom_plan *p, uint32_t stage);
/* Blocks that one group of kind i takes for one request, with steps of `flight` tokens. */
uint64_t vllm_blocks(const oom_plan *p, uint32_t i, const oom_load *load, uint64_t flight);
/* Blocks of all groups for one request. */
uint64_t vllm_request_blocks(const oom_plan *p, const vllm_pool *pool, const oom_load *load,
                             uint64_t flight);

/* ---- what is taken beside weights and pool (vllm_peak.c) ---- */

/* A step on a device: sequences and tokens, and scratch of the matrix library. */
typedef struct { uint64_t seqs, tokens, seq, library; } vllm_step;
/* The scheduler's limits; tokens 0: V0's, which go by the prompt. */
vllm_step vllm_limits(const oom_plan *p, const oom_device *d);
/* The step within them that the profile run fills. */
vllm_step vllm_step_of(const oom_plan *p, vllm_step limits, uint64_t batch, uint64_t seq);

uint64_t vllm_activations(const oom_plan *p, const plan_class *c, const vllm_step *s,
                          const oom_listener *l);
uint64_t vllm_non_torch(const oom_plan *p, const oom_device *d, const oom_listener *l);
uint64_t vllm_graphs(const oom_plan *p, const oom_device *d, const oom_listener *l);
bool vllm_graphs_in_budget(const oom_plan *p);
uint64_t vllm_warm_up(const oom_plan *p, const oom_device *d);

bool vllm_lets_go(const oom_plan *p);
bool vllm_copies_input(const oom_plan *p);

/* ---- images in V1's profile run (vllm_encoder.c) ---- */

void vllm_encoder_prepare(const oom_plan *p, vllm_own *own);
/* What the tower takes while they run, and what is kept of them while the text's layers run. */
uint64_t vllm_encoder_peak(const oom_plan *p, const plan_class *c, const vllm_step *s,
                           const oom_listener *l);
uint64_t vllm_seen_images(const oom_plan *p, const plan_class *c, const vllm_step *s,
                          const oom_listener *l);

/* ---- images in V0's profile run (vllm_images.c) ---- */

uint64_t vllm_tower_peak(const oom_plan *p, uint64_t images, const oom_listener *l);
uint64_t vllm_seen_states(const oom_plan *p, uint64_t images, const oom_listener *l);

static inline const oom_device *vllm_device(const oom_plan *p, const plan_class *c)
{
    return p->has_device ? &p->where.group[c->group].device : NULL;
}

#endif
