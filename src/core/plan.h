/* plan.h: what a plan is made of, for plan.c and the engines. */
#ifndef OOM_PLAN_H
#define OOM_PLAN_H

#include "oom.h"
#include "num.h"

#define PLAN_KINDS 16           /* different caches in one model; the richest known has 6 */
#define PLAN_STAGES OOM_MAX_DEVICES

/* Caches of one shape, all layers of a stage together. Bytes are of one rank. */
typedef struct {
    oom_cache_kind kind;
    uint64_t k_row_bytes, v_row_bytes;  /* per token and layer */
    uint64_t k_width, v_width;          /* elements per token of one rank */
    uint64_t window;
    uint32_t ratio, kv_heads;           /* heads on one rank */
    /* STATE: bytes per sequence and layer on one rank */
    uint64_t conv_elements, state_elements, state_bytes;
} plan_kind;

typedef struct {
    uint64_t weights, host_weights;     /* bytes on each rank of the stage; in main memory */
    uint32_t layers[PLAN_KINDS];        /* of each kind of cache */
    uint32_t first_layer, n_layers;
} plan_stage;

/* Ranks that are alike: same stage, same device. */
typedef struct {
    uint32_t stage, group, rank;        /* rank: the first of them; group 0 without a device */
    uint64_t available;
    uint64_t learned;                   /* overhead beyond the rules, from a log of this device */
} plan_class;

/* Only the head is zero at first: what engines keep behind it they clear themselves. */
#define PLAN_NOTES_HEAD 64
struct oom_notes { union { max_align_t align; unsigned char bytes[1 << 24]; } own; };

#define PLAN_OWN_ZERO 4096

struct oom_plan {
    oom_model *model;
    oom_notes *notes;                   /* NULL: none are shared */
    const oom_model *inventory;         /* the model's, or its GGUF view */
    const oom_engine *engine;
    oom_precision precision;
    oom_options options;                /* with the engine's defaults filled in */
    oom_deployment where;
    bool has_device;
    uint64_t element_bytes;             /* of an activation: 4 in fp32, else 2 */
    uint32_t n_kinds, n_stages, n_classes, n_ranks;
    plan_kind kinds[PLAN_KINDS];
    plan_stage stages[PLAN_STAGES];
    plan_class classes[OOM_MAX_DEVICES];
    uint8_t class_of[OOM_MAX_DEVICES];  /* rank -> class */
    bool ran_out;                       /* of memory, at a point: what it gave is no answer */
    /* The engine's numbers. The first PLAN_OWN_ZERO bytes are zero before it places anything; what
     * it keeps behind them it clears itself. */
    union { max_align_t align; unsigned char bytes[143360]; } own;
};

/* A rule set: one file under engine/, one row in engine.c. */
struct oom_engine {
    const char *name, *summary;
    const char *versions;               /* "0.6 to 0.26" for messages; NULL: has none to choose */
    uint32_t newest;                    /* major x 1000 + minor; later ones are refused */
    bool splits_layers;                 /* n devices mean pp = n; otherwise tp = n */
    bool whole_device;                  /* available = all the driver reports (ideal) */
    uint64_t chunk;                     /* default tokens per step; 0: no chunking */
    double (*utilization)(uint32_t version);    /* usual share of the device; NULL: all of it */
    uint64_t max_sequences;             /* that it serves at once; 0: any number */
    bool takes_notes;                   /* works out what plans had better share */
    bool ggml_files;                    /* fp16, bf16, fp32 mean llama.cpp's files */
    /* Where each tensor lies: fills weights of stages. NULL: plan_place. */
    oom_status (*place)(oom_plan *p, const uint64_t *tensor_bytes,
                        const oom_format *const *formats, oom_error *err);
    /* Works out what depends on neither batch nor seq, into p->own. NULL: nothing to do. */
    oom_status (*prepare)(oom_plan *p, oom_error *err);
    /* Everything at one point for one class of ranks: kv, state, activations, overhead.
     * Saturating arithmetic; weights and total are filled in by the caller. */
    void (*parts)(const oom_plan *p, const oom_load *load, const plan_class *c, oom_parts *out,
                  const oom_listener *l);
    /* The same in main memory; NULL: nothing there. */
    void (*host)(const oom_plan *p, const oom_load *load, oom_parts *out, const oom_listener *l);
    /* Totals of one class at one seq for many batches: the parts above, added up, without telling.
     * NULL: parts is called for each. */
    void (*row)(const oom_plan *p, const plan_class *c, uint64_t seq, uint64_t prompt,
                const uint64_t *batches, size_t n, uint64_t *totals);
    /* Whether everything but what is available is the same on two devices. NULL: when kind,
     * context and large memory agree. */
    bool (*alike)(const oom_device *a, const oom_device *b);
    /* What the engine's cache pool holds. NULL: what is left after everything else. */
    oom_status (*capacity)(const oom_plan *p, const oom_load *load, oom_capacity *out,
                           oom_error *err);
    /* Bytes of the device the engine may use; NULL: utilization x usable. */
    uint64_t (*available)(const oom_plan *p, const oom_device *d);
};

extern const oom_engine oom_engine_ideal, oom_engine_generic, oom_engine_transformers,
    oom_engine_vllm, oom_engine_llamacpp;

oom_status plan_place(oom_plan *p, const uint64_t *tensor_bytes, oom_error *err);
uint32_t plan_stage_of(const oom_plan *p, const oom_tensor *t);     /* the stage that holds it */

/* Layers dealt to stages; caches gathered into kinds (deal.c). */
void plan_cut_stages(oom_plan *p, uint32_t n_layers);
oom_status plan_gather_kinds(oom_plan *p, oom_error *err);

/* Bytes of one tensor on one of `tp` ranks (`ep` for experts). */
uint64_t plan_rank_bytes(const oom_plan *p, const oom_tensor *t, uint64_t bytes);

/* Sequences one replica serves: batch over dp, rounded up. */
static inline uint64_t plan_batch(const oom_plan *p, const oom_load *load)
{
    uint32_t dp = p->options.dp;

    return dp > 1 ? div_up(load->batch, dp) : load->batch;
}

/* Tokens of one forward step: all prompts at once, or a chunk of them. */
static inline uint64_t plan_step_tokens(const oom_plan *p, const oom_load *load)
{
    uint64_t all = sat_mul(plan_batch(p, load), load->prompt);

    return p->options.chunk ? min_u64(all, p->options.chunk) : all;
}

/* Whether an engine had no memory to work a point out since this was last asked. */
bool plan_ran_out(const oom_plan *p);

/* Totals of a single-class plan at one seq, for many batches. */
void plan_totals(const oom_plan *p, uint64_t seq, uint64_t prompt, const uint64_t *batches,
                 size_t n, uint64_t *totals);
/* What the plan's engine may use of another device. */
uint64_t plan_available(const oom_plan *p, const oom_device *d);

/* Rows one sequence keeps in a cache of this kind, without any engine's padding. */
uint64_t plan_rows(const plan_kind *k, const oom_load *load);

/* Textbook K/V and latents (kv) and states (state) of one class of ranks. */
void plan_textbook_caches(const oom_plan *p, const oom_load *load, const plan_class *c,
                          oom_parts *out, const oom_listener *l);

/* Tells the listener one term. Call only with a listener: if (l) plan_tell(...). */
void plan_tell(const oom_listener *l, const char *part, oom_basis basis, uint64_t bytes,
               const char *formula, const char *source, const char *numbers, ...)
    __attribute__((format(printf, 7, 8)));
void plan_tell_host(const oom_listener *l, const char *part, oom_basis basis, uint64_t bytes,
                    const char *formula, const char *source, const char *numbers, ...)
    __attribute__((format(printf, 7, 8)));

typedef unsigned long long ull;         /* for printf */

#endif
