/* llamacpp_layers.h: the operations of one forward step of a model under llama.cpp. */
#ifndef LLAMACPP_LAYERS_H
#define LLAMACPP_LAYERS_H

#include "llamacpp_graph.h"

/* A model placed on devices. Buffers are numbered: devices from 0, then main memory. */
typedef struct {
    const oom_model *inventory;         /* tensors as in a GGUF file, in its order */
    int8_t (*home)(const void *ctx, const oom_tensor *t);
    int8_t (*cache_home)(const void *ctx, int32_t layer);
    const void *ctx;
    const uint64_t *device_bytes;       /* of each tensor once on a device; NULL: none is copied */
    uint64_t head_bytes;                /* the output matrix: the embedding again where tied */
    int8_t head_home;
} lc_model;

/* ggml-cuda.cu: quantised rows are read in steps of 512 elements; bytes that a row of n lacks. */
#define LC_ROW_PADDING 512
static inline uint64_t lc_row_tail(const oom_format *f, uint64_t n)
{
    n %= LC_ROW_PADDING;
    return f->block > 1 && n ? div_up(LC_ROW_PADDING - n, f->block) * f->block_bytes : 0;
}

/* A layer of the graph: its number and its tensors in the inventory. */
typedef struct { uint32_t layer, first, n; } lc_block;

/* The step whose buffers are reserved: the largest micro-batch with a full cache. */
typedef struct {
    uint64_t tokens;                    /* multiple of sequences */
    uint64_t outputs;                   /* rows of logits */
    uint64_t sequences;
    uint64_t streams;                   /* 1: unified cache */
    uint64_t cells, window_cells;       /* of one stream, full and windowed layers */
    bool flash;
    bool pads;                          /* devices pad quantised rows (CUDA) */
    const oom_format *kv_k, *kv_v;
} lc_step;

/* True where llama.cpp gives the layer's cache the windowed number of cells. */
bool lc_windowed(const oom_model *inventory, const oom_cache *c);

/* What of a layer's number matters to its operations: layers alike in all else differ by it. */
uint64_t lc_layer_trait(const oom_model *m, uint32_t layer);

/* Whether the operations of the architecture were compared with the engine's. */
bool lc_known(const oom_model *m);

/* Writes the step down with these layers (repetitions of a layer add nothing to the peak). */
void lc_build(lc_graph *g, const lc_model *model, const lc_step *step, const lc_block *blocks,
              uint32_t n_blocks);

#endif
