/* llamacpp_place.h: the engine's own numbers in a plan, shared by llamacpp.c (points), by
 * llamacpp_place.c (what lies where) and by llamacpp_compute.c (compute buffers). */
#ifndef LLAMACPP_PLACE_H
#define LLAMACPP_PLACE_H

#include "llamacpp_layers.h"
#include "llamacpp_memory.h"
#include "plan.h"

#define LC_MAX_SEQUENCES 256    /* llama-cparams.h: LLAMA_MAX_SEQ */
#define LC_PAD_CELLS 256        /* llama-context.cpp: n_ctx is a multiple of 256 */
#define LC_KINDS_OF_STEP 16     /* whose graphs differ */
#define LC_PLAN_MEMORY 131072  /* remembered by a plan alone: a hybrid's script and some lines */

/* Caches of one shape. `layers` counts them by buffer, main memory last. */
typedef struct {
    bool windowed, state;
    uint64_t window;
    uint64_t k_row, v_row;      /* bytes a cell; STATE: bytes a sequence of the two tensors */
    uint64_t k_tail, v_tail;    /* padding of the tensor's last row (CUDA) */
    uint16_t layers[LC_MAX_DEVICES + 1];
} lc_kind;

/* The line last read for so many sequences: a sweep asks for the next context on it. */
#define LC_READ_LINES 64
typedef struct { uint64_t sequences, tokens, outputs; uint32_t buffer; lc_line line; } lc_read_line;

typedef struct {
    uint32_t n_devices;         /* 0: everything on the CPU */
    uint32_t n_blocks;          /* layers, those for drafts included */
    int32_t from[LC_MAX_DEVICES + 1]; /* first layer of each device; the output is layer n_blocks */
    int32_t to;                 /* past the last layer on any device */
    bool pads;                  /* quantised rows are padded to 512 elements: CUDA */
    bool flash, unified, swa_full, kv_on_host, op_offload, pipeline, all_outputs;
    uint64_t step, batch;       /* n_ubatch, n_batch */
    uint64_t vocabulary, widest_v;
    uint64_t host_weights;
    uint32_t n_kinds;
    lc_kind kinds[PLAN_KINDS];
    /* What the graph is made from. */
    const oom_model *view;
    uint64_t window;
    bool copies, offloads; /* weights of layers lie on the host: large batches copy them over */
    uint64_t graph;             /* hash of all that the graph depends on but the context */
    bool one_kind;              /* of step, */
    uint32_t first_kind;        /* like the one a plan is made with */
    uint32_t uses[LC_KINDS_OF_STEP];    /* measures that sizes depend on; 0: not yet known */
    lc_read_line read[LC_READ_LINES];
    union { max_align_t align; unsigned char bytes[LC_PLAN_MEMORY]; } memory; /* without notes */
} lc_own;

static inline lc_own *lc_own_of(oom_plan *p) { return (lc_own *)(void *)p->own.bytes; }
static inline const lc_own *lc_of(const oom_plan *p)
{
    return (const lc_own *)(const void *)p->own.bytes;
}

/* Buffer of a layer (or of the output: n_blocks) and of a tensor. */
int8_t lc_home_of_layer(const lc_own *o, int32_t layer);
int8_t lc_home_of_tensor(const oom_plan *p, const oom_tensor *t);
/* Bytes of a tensor once on a device: CUDA's padding of quantised rows. */
uint64_t lc_device_bytes(const lc_own *o, const oom_tensor *t, const oom_format *f, uint64_t bytes);
oom_status lc_place(oom_plan *p, const uint64_t *tensor_bytes, const oom_format *const *formats,
                    oom_error *err);
void lc_gather_kinds(oom_plan *p, const oom_model *view);

/* The context as the engine rounds it, for `sequences` of `seq` tokens: cells of each stream;
 * n_ubatch as it limits it (step), and the tokens and rows of logits of the largest step. */
typedef struct { uint64_t sequences, streams, cells, step, tokens, outputs; } lc_context;
lc_context lc_context_of(const lc_own *o, uint64_t sequences, uint64_t seq);
uint64_t lc_window_cells(const lc_own *o, const lc_context *c, uint64_t window);

/* llamacpp_compute.c: the compute buffer of one device, or of main memory, at one point. */
oom_status lc_prepare_compute(oom_plan *p, const oom_model *view, oom_error *err);
uint64_t lc_compute(const oom_plan *p, const lc_context *c, uint32_t buffer);
/* The same by a walk over all layers for this context alone, remembering nothing. */
uint64_t lc_compute_once(const oom_plan *p, const lc_context *c, uint32_t buffer);

#endif
