/* llamacpp_graph.h: what llama.cpp's memory planner sees of a forward step: operations, what they
 * read, where they run and how large their results are. No numbers are ever computed.
 *
 * The graph is written down with the functions below in the order in which the engine's own
 * builder creates it (llamacpp_layers.c), then lc_reserve walks it the way ggml's scheduler and
 * allocator do (ggml-backend.cpp, ggml-alloc.c) and returns how large each buffer becomes. */
#ifndef LLAMACPP_GRAPH_H
#define LLAMACPP_GRAPH_H

#include "llamacpp_holes.h"
#include "oom.h"
#include "num.h"

#define LC_MAX_DEVICES 15       /* ggml-backend.cpp: GGML_SCHED_MAX_BACKENDS 16, one is the CPU */
#define LC_MAX_SRC 10           /* ggml.h: GGML_MAX_SRC */
#define LC_COPIES 4             /* ggml-backend.cpp: GGML_SCHED_MAX_COPIES */
#define LC_NONE UINT32_MAX

typedef uint32_t lc_t;          /* a tensor of the graph */

typedef enum {
    LC_LEAF,                    /* weight, cache or input: nothing runs */
    LC_VIEW,                    /* view, reshape, permute, transpose: costs nothing */
    LC_STORE,                   /* writes into an external tensor and is a view of it */
    LC_OP,                      /* always needs a place for its result */
    LC_INPLACE,                 /* may take the place of a source (ggml_op_can_inplace) */
    LC_ROPE,                    /* the same; its frequency factors do not decide where it runs */
    LC_MATMUL, LC_MATMUL_ID,    /* apart for the size of the batch that decides offloading */
    LC_ROWS,                    /* row lookup: never offloaded */
    LC_FLASH                    /* its sinks do not decide where it runs */
} lc_op;

typedef enum { LC_F32, LC_F16, LC_I32, LC_I64, LC_OTHER } lc_type;

typedef struct { uint64_t n[4]; } lc_shape;     /* ggml's ne: fastest first */

typedef struct {
    lc_shape ne;
    uint64_t bytes;             /* what the allocator reserves for it, */
    uint64_t scratch[2];        /* and on a device beside it: reading its cache, or a copy */
    lc_t src[LC_MAX_SRC];
    lc_t root;                  /* LC_VIEW, LC_STORE: what it looks into */
    lc_t like;                  /* itself; of a copy, what is copied */
    uint8_t n_src, op, type;
    int8_t home;                /* external: the buffer it lies in; otherwise -1 */
    bool weight, input, output, seen, copied;
    bool keeps;                 /* something is kept until it has run */
    bool reads_copy;            /* LC_FLASH: of its cache */
} lc_tensor;

/* Tensors that a fused operation of a back end reads or makes: kept until the last of what it
 * fuses has run, if the first runs in the same split. */
typedef struct { lc_t first, last, tensor[LC_MAX_SRC]; uint32_t n; } lc_keep;

typedef struct {
    uint32_t n_devices;         /* 0: the CPU alone */
    bool op_offload;            /* large batches against host weights run on the device */
    bool pipeline;              /* four copies of every input, for overlapping steps */
} lc_placement;

/* What the walk needs besides (llamacpp_alloc.c): an operation; a copy made; a source kept. */
typedef enum { LC_RUN, LC_ARRIVE, LC_HOLD } lc_step_kind;
typedef struct { lc_step_kind kind; int8_t on; lc_t t; } lc_seq;
typedef struct { int32_t readers, views; uint64_t at; int8_t on; bool placed; } lc_spot;

/* What the walk did: a place taken, given back, or taken over from another tensor. */
typedef enum { LC_TAKE, LC_GIVE, LC_TAKE_OVER } lc_act;
typedef struct { lc_act act; int8_t on; lc_t t, from; } lc_event;

typedef struct {
    lc_placement where;
    lc_t *order; uint32_t n_order;      /* operations and views as they run */
    lc_t *leafs; uint32_t n_leafs;      /* inputs, in order of first use */
    lc_keep *keep; uint32_t n_keep, cap_keep;
    lc_tensor *t; uint32_t n, cap, room;    /* cap: to write down; room: with copies */
    lc_t *begins; uint32_t n_begins;    /* first tensor of each layer */
    bool failed;                /* no room, or a tensor missing; later calls do nothing */
    bool unordered;             /* only sizes are asked for: lc_expand does nothing */
    int8_t *on;                 /* back end of each tensor; -1: not yet known */
    lc_t *copy;                 /* [tensor x back ends]: its copy there, or LC_NONE */
    lc_t *pipe; uint32_t n_pipe;        /* pipeline: all copies, placed before everything else */
    lc_t *arrivals; uint32_t n_arrivals;    /* what the split at hand copies */
    lc_seq *seq; uint32_t n_seq, cap_seq;
    lc_spot *spot;
    lc_buffer *buffer;
    lc_event *events; uint32_t n_events;    /* at most one place taken and given a tensor */
    uint32_t *marks;            /* events before the first operation of each layer */
    bool shapes_decide;         /* a place was, or was not, taken over for another source's shape */
} lc_graph;

/* Room for a graph of `cap` tensors, in the arena. lc_clear makes it empty again. */
bool lc_open(lc_graph *g, oom_arena *arena, uint32_t cap, const lc_placement *where);
void lc_clear(lc_graph *g);

lc_shape lc_ne(uint64_t a, uint64_t b, uint64_t c, uint64_t d);
lc_t lc_weight(lc_graph *g, lc_shape ne, uint64_t bytes, int8_t home);
lc_t lc_cache(lc_graph *g, lc_type type, lc_shape ne, int8_t home);
lc_t lc_input(lc_graph *g, lc_type type, lc_shape ne);
/* The result of an operation, contiguous. src: up to LC_MAX_SRC, LC_NONE left out. */
lc_t lc_result(lc_graph *g, lc_op op, lc_type type, lc_shape ne, const lc_t *src, uint32_t n_src);
lc_t lc_view(lc_graph *g, lc_t of, lc_shape ne);        /* all of it, or a contiguous part */
lc_t lc_slice(lc_graph *g, lc_t of, lc_shape ne);       /* some columns of every row */
lc_t lc_view_bytes(lc_graph *g, lc_t of, lc_shape ne, uint64_t bytes);
lc_t lc_store(lc_graph *g, lc_t into, const lc_t *src, uint32_t n_src);
void lc_output(lc_graph *g, lc_t t);
void lc_scratch(lc_graph *g, lc_t t, uint64_t bytes, uint64_t reading_copies);
void lc_expand(lc_graph *g, lc_t t);                    /* ggml_build_forward_expand */
void lc_begin_layer(lc_graph *g);
/* list: up to LC_MAX_SRC, LC_NONE left out. */
void lc_fuse(lc_graph *g, lc_t first, lc_t last, const lc_t *list, uint32_t n);
uint64_t lc_count(const lc_shape *ne);                  /* elements */

/* Peak bytes of the compute buffer of each device and, last, of main memory, and in events how
 * it came to them. peaks: room for n_devices + 1. False: the graph has failed. */
bool lc_reserve(lc_graph *g, uint64_t *peaks);

/* What a tensor takes in a buffer before it is rounded up, and to what it is. */
uint64_t lc_align(const lc_placement *where, int8_t on);

#endif
