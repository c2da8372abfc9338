/* oom.h: the only public header of liboom, the core that counts.
 *
 * A model is an inventory: tensors and caches. A family fills it from a configuration, a reader
 * fills it from a file, and nothing downstream asks which. An engine is a rule set. A plan is a
 * model in one precision on one deployment under one engine, prepared once; a point of it
 * (batch, seq) costs a few integer operations.
 *
 * Units: every size is in bytes, every count in elements or tokens, all uint64_t and at most
 * 2^63-1 (so that each is a Lua integer). Rates are double. Failing functions return a status,
 * fill the oom_error (which may be NULL) and leave their outputs alone. */
#ifndef OOM_H
#define OOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OOM_VERSION "0.1.0"
#define OOM_MAX_BYTES ((uint64_t)INT64_MAX)     /* every size and count stays a Lua integer */
#define OOM_NO_LIMIT ((uint64_t)INT64_MAX)      /* what a solve returns where nothing grows */

/* ---- errors (error.c) ------------------------------------------------------------------- */

typedef enum {
    OOM_OK, OOM_BADVALUE, OOM_NOTFOUND, OOM_BADFILE, OOM_TOOLARGE, OOM_NOMEM, OOM_IO
} oom_status;

typedef struct { oom_status status; char msg[256]; } oom_error;

/* Fills `err` (NULL allowed) with one line, cut to fit, and returns `status`. */
oom_status oom_fail(oom_error *err, oom_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- memory (arena.c) ------------------------------------------------------------------- */

/* The allocator is a parameter, so that a test can fail the n-th allocation.
 * `resize` behaves like realloc, with the old size given; new_bytes 0 frees. */
typedef struct {
    void *(*resize)(void *ctx, void *p, size_t old_bytes, size_t new_bytes);
    void *ctx;
} oom_alloc;

extern const oom_alloc oom_libc_alloc;

/* One owner for everything a model consists of: freed at once, never piecemeal. */
typedef struct oom_arena oom_arena;
oom_arena *oom_arena_new(const oom_alloc *a, oom_error *err);
void oom_arena_free(oom_arena *arena);                          /* NULL allowed */
void *oom_arena_get(oom_arena *arena, size_t bytes, oom_error *err);  /* zeroed; NULL: OOM_NOMEM */
void *oom_arena_raw(oom_arena *arena, size_t bytes, oom_error *err);    /* not zeroed */
const char *oom_arena_text(oom_arena *arena, const char *s, size_t len, oom_error *err);
size_t oom_arena_bytes(const oom_arena *arena);                 /* what it holds, for limits */
const oom_alloc *oom_arena_alloc(const oom_arena *arena);       /* where it gets its memory */

/* ---- configuration values (value.c) ------------------------------------------------------ */

/* What a config.json, a preset, GGUF metadata or a Lua table becomes before a family reads it.
 * Immutable once built; lives in an arena. */
typedef enum { OOM_NULL, OOM_BOOL, OOM_INT, OOM_REAL, OOM_STRING, OOM_LIST, OOM_MAP } oom_kind;

typedef struct oom_value oom_value;
typedef struct { const char *key; const oom_value *value; } oom_member;
struct oom_value {
    oom_kind kind;
    union {
        bool truth;
        int64_t i;
        double real;
        const char *text;
        struct { const oom_value *items; size_t n; } list;
        struct { const oom_member *members; size_t n; } map;
    } u;
};

const oom_value *oom_value_get(const oom_value *map, const char *key);   /* NULL: absent or null */

/* ---- number formats (format.c) ------------------------------------------------------------ */

/* An element format as whole blocks: q4_0 keeps 32 elements in 18 bytes. */
typedef struct {
    const char *name;
    uint32_t block;             /* elements */
    uint32_t block_bytes;
    int32_t ggml_id;            /* ggml's type number; -1 where ggml has none */
} oom_format;

const oom_format *oom_format_find(const char *name);            /* any case; NULL: unknown */
const oom_format *oom_format_by_ggml_id(int32_t id);
const oom_format *oom_format_at(size_t i);                      /* NULL past the last */

/* Bytes that one row of `n` elements takes. Exact: whole blocks are counted, as on disk and on
 * the device. A matrix is rows x row bytes; blocks never run across rows. */
oom_status oom_format_row_bytes(const oom_format *f, uint64_t n, uint64_t *bytes, oom_error *err);

/* ---- the inventory (model.c) --------------------------------------------------------------- */

/* What a tensor is for: one name for Hugging Face's and ggml's words for it (roles.h). */
typedef enum {
#define ROLE(id, stem, split) OOM_ROLE_##id,
#include "roles.h"
#undef ROLE
    OOM_ROLE_COUNT
} oom_role;

/* How tensor parallelism cuts a role. */
typedef enum {
    OOM_SPLIT_NONE,             /* every rank holds it whole: norms, routers, latents */
    OOM_SPLIT_COLUMN,           /* output rows: q, gate, up */
    OOM_SPLIT_ROW,              /* input columns: o, down */
    OOM_SPLIT_KV,               /* by KV heads; replicated when tp > heads */
    OOM_SPLIT_VOCAB,            /* vocabulary rows: embedding, output head */
    OOM_SPLIT_EXPERT            /* whole experts under ep, their width under tp */
} oom_split;

const char *oom_role_stem(oom_role role);       /* "attn_q": ggml's word where ggml has one */
oom_split oom_role_split(oom_role role);

typedef enum { OOM_PART_TEXT, OOM_PART_VISION, OOM_PART_AUDIO, OOM_PART_MTP } oom_part;
typedef enum { OOM_WEIGHT, OOM_BIAS, OOM_BARE } oom_suffix;     /* ".weight", ".bias", nothing */

typedef struct {
    const char *name;           /* as the file has it; NULL: built from role, layer, suffix */
    int32_t layer;              /* -1: outside the layers */
    oom_role role;
    oom_part part;
    oom_suffix suffix;
    uint32_t n_dims;
    uint64_t dims[4];           /* slowest first: [out, in], [experts, out, in]; 1-d: [n] */
    uint64_t params;            /* parameters it stands for: product of dims unless packed */
    const oom_format *stored;   /* NULL: not read from a file */
    uint64_t stored_bytes;      /* bytes in the file; 0 when not read from one */
} oom_tensor;

typedef enum {
    OOM_CACHE_FULL,             /* K and V of every token */
    OOM_CACHE_WINDOW,           /* of the last `window` tokens */
    OOM_CACHE_CHUNK,            /* of the current chunk of `window` tokens */
    OOM_CACHE_MLA,              /* one latent row a token: k_width = latent + rope, v_width = 0 */
    OOM_CACHE_INDEXER,          /* sparse attention's index keys, per token */
    OOM_CACHE_COMPRESSED,       /* one row for every `ratio` tokens */
    OOM_CACHE_CROSS, /* K and V of the encoder's or the image's tokens: fixed by prompt */
    OOM_CACHE_STATE             /* recurrent and convolution state: fixed per sequence */
} oom_cache_kind;

typedef struct {
    int32_t layer;
    oom_cache_kind kind;
    uint32_t kv_heads;          /* k_width / kv_heads is the head size */
    uint64_t k_width, v_width;  /* elements per token in K and in V */
    uint64_t window;            /* tokens; 0: none */
    uint32_t ratio;             /* tokens per row (COMPRESSED); otherwise 0 or 1 */
    /* STATE: elements per sequence. Convolution (conv_kernel - 1) x conv_width, and the
     * recurrence itself. state_bytes_each: bytes an element of the recurrence in the model's own
     * code (4 for fp32 Mamba states, 2 elsewhere); engines may keep it wider. */
    uint64_t conv_width;
    uint32_t conv_kernel;
    uint64_t state_elements;
    uint32_t state_bytes_each;
    uint32_t state_heads;       /* what tensor parallelism divides the state by */
} oom_cache;

/* Facts engines need beside the lists. Zero: does not apply. */
typedef struct {
    uint32_t n_layers;          /* without MTP blocks */
    uint32_t n_mtp_layers;
    uint64_t hidden_size;
    uint64_t intermediate_size; /* widest dense feed-forward */
    uint64_t vocab_size;
    uint64_t context;           /* max_position_embeddings; 0: unlimited or unknown */
    uint32_t heads, kv_heads;   /* of the first attention layer */
    uint32_t head_dim;          /* of a key; MLA: nope + rope */
    uint32_t v_head_dim;        /* of a value */
    uint32_t experts, experts_used;
    uint64_t expert_width;      /* of one routed expert */
    uint64_t shared_width;      /* of all shared experts of a layer together */
    uint32_t kv_lora_rank, rope_dim;
    bool tied;                  /* the output head is the embedding */
    bool encoder_decoder, encoder_only;
} oom_shape;

typedef struct oom_model {
    oom_arena *arena;
    const char *id;             /* preset id, file name or "table" */
    const char *family;         /* Hugging Face's model_type; "gguf:ARCH" from a GGUF file */
    const char *ggml_arch;      /* llama.cpp's name of the architecture; NULL: it has none */
    const char *attention;      /* "mha", "gqa", "mqa", "mla", "gqa+swa", "hybrid", "none", … */
    const char *stored_precision; /* name of a precision for "stored"; NULL: as stored per tensor */
    const char *note;           /* what was assumed, for the echo; NULL: nothing */
    const oom_value *config;    /* what it was built from; NULL for files without one */
    oom_shape shape;
    oom_tensor *tensors; size_t n_tensors, cap_tensors;
    oom_cache *caches;   size_t n_caches, cap_caches;
    bool from_file;             /* tensors carry stored bytes */
    bool is_gguf;               /* tensors are named, shaped and stacked as in a GGUF file */
    bool shape_unknown;         /* {params=…} alone: weights only */
    struct oom_model *gguf;     /* the GGUF view, once built (gguf_view.c); same arena */
} oom_model;

/* A new, empty model. The caller owns it: oom_model_free. Everything reachable from it lives in
 * its arena and dies with it. */
oom_model *oom_model_new(const oom_alloc *a, oom_error *err);
void oom_model_free(oom_model *m);                              /* NULL allowed */

/* Append; dims as in oom_tensor. Fails with OOM_TOOLARGE when the product exceeds 2^63-1. */
oom_status oom_model_add_tensor(oom_model *m, const oom_tensor *t, oom_error *err);
oom_status oom_model_add_cache(oom_model *m, const oom_cache *c, oom_error *err);

/* Parameters by what they are for. `loaded` is what ordinary inference loads (text, vision,
 * audio; MTP apart), `active` = loaded less the experts a token does not choose. */
typedef struct { uint64_t loaded, active, mtp, vision, audio; } oom_param_counts;
oom_status oom_model_count(const oom_model *m, oom_param_counts *counts, oom_error *err);

/* Bytes of K, V and latents that one more token costs at `batch` 1 beyond every window, in a
 * 2-byte cache. */
uint64_t oom_model_kv_bytes_per_token(const oom_model *m);

/* "gqa+swa", "mla", "hybrid" …: from the caches and the head counts. */
const char *oom_attention_label(const oom_model *m);

/* Full name of a tensor: "blk.3.attn_q.weight" or as the file has it. Returns `buf`. */
const char *oom_tensor_name(const oom_tensor *t, char *buf, size_t buf_bytes);

/* ---- families (family/) --------------------------------------------------------------------- */

/* Builds the inventory from a Hugging Face configuration (or {params=…} and the keys that go
 * with it). An architecture that is not recognised is an error that names the keys that would
 * make it work. The model keeps a reference to `config`, which must live in its arena. */
oom_status oom_family_build(oom_model *m, const oom_value *config, oom_error *err);
const char *oom_family_at(size_t i);            /* model_types known; NULL past the last */

/* ---- precisions: which tensor gets which format (recipe.c, recipe_gguf.c) -------------------- */

typedef enum {
    OOM_PRECISION_STORED,       /* as the checkpoint is */
    OOM_PRECISION_WIDTH,        /* every parameter `bits` wide over the whole sum */
    OOM_PRECISION_TYPE,         /* one ggml type on every tensor ("type:q4_0") */
    OOM_PRECISION_GGUF,         /* a llama.cpp file recipe: q4_k_m, f16, mxfp4_moe … */
    OOM_PRECISION_RECIPE        /* awq, gptq-4bit-128g, nf4, fp8-block, exl2-4.5 … */
} oom_precision_kind;

typedef struct {
    oom_precision_kind kind;
    char name[32];              /* as people write it, lower case */
    uint32_t recipe;            /* index into the recipe table of its kind */
    double bits;                /* WIDTH: 4 8 16 32; RECIPE where a number is part of the name */
    uint32_t group;             /* RECIPE: group size; 0: per row or none */
    const oom_format *format;   /* TYPE */
} oom_precision;

oom_status oom_precision_parse(const char *name, oom_precision *p, oom_error *err);
/* for formats(); NULL past the last */
const char *oom_precision_at(size_t i, const char **meaning);

/* The inventory a precision speaks of: the model's own, or its GGUF view (built on first need
 * and kept) when the precision is a file recipe of llama.cpp. */
oom_status oom_precision_inventory(oom_model *m, const oom_precision *p,
                                   const oom_model **inventory, oom_error *err);

/* The one format each tensor of `inventory` has in precision `p`, in `each` (room for n_tensors);
 * NULL where a tensor is more than one block format tells (groups with scales apart). */
oom_status oom_precision_formats(const oom_model *inventory, const oom_precision *p,
                                 const oom_format **each, oom_error *err);

/* Bytes of every tensor of `inventory` in precision `p`. tensor_bytes: room for n_tensors, or
 * NULL. *total: the sum over what ordinary inference holds (MTP apart); for WIDTH the whole sum
 * of parameters times bits, rounded up once. */
oom_status oom_precision_weigh(const oom_model *inventory, const oom_precision *p,
                               uint64_t *tensor_bytes, uint64_t *total, oom_error *err);

/* ---- devices (device.c) ---------------------------------------------------------------------- */

#define OOM_MAX_ENGINES 8

typedef enum { OOM_DEVICE_GPU, OOM_DEVICE_CPU, OOM_DEVICE_UNIFIED,
    OOM_DEVICE_ACCELERATOR } oom_device_kind;

typedef struct {
    char id[64];
    char name[96];
    char vendor[16];
    oom_device_kind kind;
    uint64_t memory_bytes;      /* what the driver reports; the label x 1 GiB where not known */
    uint64_t usable_bytes;      /* what a process can get */
    uint64_t free_bytes;        /* of this machine, now; 0: not known */
    bool usable_known;          /* measured, not DEVICES' reserve rule */
    uint64_t context_bytes;     /* a runtime's context on it (device.c has the sources) */
    uint32_t capability;        /* CUDA's, times ten: 89 is 8.9; 0: none, or not known */
    double bandwidth_bytes_per_s, fp16_flops;   /* 0: not known */
    /* What engines took beyond their rules in logs of this device, in order of oom_engine_at. */
    uint64_t learned_bytes[OOM_MAX_ENGINES];
    uint32_t dies;              /* software sees this many devices; memory_bytes is of all */
    uint32_t per_machine;       /* most of them in one machine; 0: as many as one likes */
} oom_device;

#define OOM_MAX_DEVICES 128     /* in one deployment; the largest single-job nodes have 72 */

/* What a process cannot have of a device's memory, and what a runtime's context takes, where no
 * measurement of the very device is known. `capability`:
 * CUDA's, "8.9"; NULL where there is none. */
uint64_t oom_device_reserve(const char *vendor, const char *capability, uint64_t memory_bytes);
uint64_t oom_device_context(oom_device_kind kind, const char *vendor, const char *capability);
uint32_t oom_device_capability(const char *capability);     /* "8.9" -> 89; NULL -> 0 */

typedef struct {
    uint32_t n;                 /* devices in all */
    uint32_t n_groups;          /* runs of equal devices */
    struct { oom_device device; uint32_t count; } group[8];
} oom_deployment;

/* ---- options, plans and points (plan.c) ------------------------------------------------------ */

typedef enum { OOM_DEFAULT = 0, OOM_NO, OOM_YES } oom_choice;
typedef enum { OOM_OUTPUTS_DEFAULT, OOM_OUTPUTS_LAST, OOM_OUTPUTS_ALL } oom_outputs;
typedef enum { OOM_ATTENTION_FLASH, OOM_ATTENTION_SDPA, OOM_ATTENTION_EAGER } oom_attention;

#define OOM_MAX_SHARES 16

/* Zero (or the enum's default) means: the engine's own. */
typedef struct {
    const oom_format *kv_k, *kv_v;      /* NULL: auto, 2 bytes */
    uint32_t tp, pp, ep, dp;
    uint64_t chunk;                     /* tokens of all sequences in one forward step */
    double utilization;                 /* share of the device the engine may use */
    int64_t gpu_layers;                 /* as -ngl counts them; < 0: all */
    oom_outputs outputs;
    oom_attention attention;
    uint64_t reserve;                   /* bytes kept free for others, per device */
    uint64_t n_batch, max_seqs, block_size;
    oom_choice unified, swa_full, kv_offload, op_offload, eager, prefix_caching;
    uint32_t cpu_moe;                   /* layers whose experts stay in main memory */
    bool cpu_moe_all;
    /* llama.cpp: layers to devices in this proportion; all zero: by their memory */
    double tensor_split[OOM_MAX_SHARES];
    uint32_t version;                   /* engine@0.19 -> 19, @4.46 -> 4046: major x 1000 + minor */
} oom_options;

/* What is asked of a plan at one point. prompt 0: seq. */
typedef struct { uint64_t batch, seq, prompt; } oom_load;

typedef struct { uint64_t weights, kv, state, activations, overhead, total; } oom_parts;

typedef struct {
    oom_parts device;           /* the fullest device: the one with least left */
    oom_parts host;             /* kept in main memory */
    uint64_t available;         /* of that device; 0 without a device */
    uint32_t rank;
    bool fits;                  /* on every device */
} oom_memory;

/* How exact a term is: arithmetic, a rule of the engine (as its source says), or fitted to
 * measurements (the term says with what error). */
typedef enum { OOM_EXACT, OOM_RULE, OOM_FITTED } oom_basis;

/* One line of explain(): the plan's own terms, told while they are added up. */
typedef struct {
    const char *part; /* "weights", "kv", "state", "activations", "overhead", "available" */
    const char *formula;        /* "layers x kv heads x head size x 2 x bytes x tokens" */
    const char *numbers;        /* the same with the numbers put in; valid during the call */
    const char *source;
    oom_basis basis;
    uint64_t bytes;
    bool host;
} oom_term;

typedef struct {
    void (*tell)(void *ctx, const oom_term *term);
    void *ctx;
} oom_listener;

typedef struct oom_plan oom_plan;
typedef struct oom_engine oom_engine;

const oom_engine *oom_engine_find(const char *name);            /* "vllm"; NULL: unknown */
const oom_engine *oom_engine_at(size_t i);
const char *oom_engine_name(const oom_engine *e);
const char *oom_engine_summary(const oom_engine *e);
/* Whether rules of a version (major x 1000 + minor; 0: the usual) are known. */
oom_status oom_engine_check_version(const oom_engine *e, uint32_t version, oom_error *err);
/* What an engine understands by a precision: to llama.cpp fp16, bf16 and fp32 are files. */
void oom_engine_precision(const oom_engine *e, oom_precision *p);

/* Prepares a plan. `where` NULL: no device, nothing is compared. The plan is a plain struct of
 * oom_plan_bytes() bytes with nothing to free; it refers to `m`, which must outlive it. */
size_t oom_plan_bytes(void);
oom_status oom_plan_make(oom_plan *plan, oom_model *m, const oom_precision *precision,
                         const oom_deployment *where, const oom_engine *engine,
                         const oom_options *options, oom_error *err);

/* Notes: what an engine works out at length and plans of one thread may share, whatever they are
 * of; oom_notes_bytes() bytes, all zero at first, that outlive the plans. NULL: not shared. */
typedef struct oom_notes oom_notes;
size_t oom_notes_bytes(void);
oom_status oom_plan_make_noting(oom_plan *plan, oom_notes *notes, oom_model *m,
                                const oom_precision *precision, const oom_deployment *where,
                                const oom_engine *engine, const oom_options *options,
                                oom_error *err);

/* Memory at one point. `listener` NULL on the fast path; otherwise it hears every term of the
 * fullest device and of the host. */
oom_status oom_plan_memory(const oom_plan *plan, const oom_load *asked, oom_memory *out,
                           const oom_listener *listener, oom_error *err);
uint32_t oom_plan_ranks(const oom_plan *plan);
oom_status oom_plan_rank(const oom_plan *plan, const oom_load *asked, uint32_t rank,
                         oom_parts *out, uint64_t *available, oom_error *err);

/* What the engine's cache pool holds. */
typedef struct {
    uint64_t kv_bytes, blocks, kv_tokens, weights, activations, overhead, available;
    double max_concurrency;
} oom_capacity;
oom_status oom_plan_capacity(const oom_plan *plan, const oom_load *asked, oom_capacity *out,
                             oom_error *err);

/* ---- solving (solve.c) ----------------------------------------------------------------------- */

/* The n with fits(n) and not fits(n+1) under oom_plan_memory; 0 when not even one fits,
 * OOM_NO_LIMIT when nothing grows. */
oom_status oom_solve_batch(const oom_plan *plan, uint64_t seq, uint64_t prompt, uint64_t *batch,
                           oom_error *err);
oom_status oom_solve_seq(const oom_plan *plan, uint64_t batch, uint64_t prompt, uint64_t *seq,
                         oom_error *err);

/* ---- grids (grid.c) -------------------------------------------------------------------------- */

/* Everything against everything: models x precisions x variants x deployments x seqs x batches.
 * A row's index counts them in this order, batches fastest. Plans are made once per model,
 * precision, variant and kind of device; devices that differ in memory alone share the totals. */
typedef struct {
    const oom_engine *engine;
    oom_options options;
    uint64_t prompt;            /* 0: seq */
} oom_variant;

typedef struct {
    oom_model *const *models;               size_t n_models;
    const oom_precision *precisions;        size_t n_precisions;
    const oom_variant *variants;            size_t n_variants;
    const oom_deployment *const *devices;   size_t n_devices;
    const uint64_t *seqs;                   size_t n_seqs;
    const uint64_t *batches;                size_t n_batches;
} oom_grid;

typedef enum { OOM_AXIS_MODEL, OOM_AXIS_PRECISION, OOM_AXIS_VARIANT, OOM_AXIS_DEVICE, OOM_AXIS_SEQ,
               OOM_AXIS_BATCH, OOM_AXES } oom_axis;

typedef enum {
    OOM_COLUMN_TOTAL, OOM_COLUMN_AVAILABLE, OOM_COLUMN_FREE, OOM_COLUMN_FITS, OOM_COLUMN_PARAMS,
    OOM_COLUMN_ACTIVE, OOM_COLUMN_SEQ, OOM_COLUMN_BATCH,
    /* from here on a point costs a full evaluation */
    OOM_COLUMN_WEIGHTS, OOM_COLUMN_KV, OOM_COLUMN_STATE, OOM_COLUMN_ACTIVATIONS,
    OOM_COLUMN_OVERHEAD, OOM_COLUMN_MAXBATCH, OOM_COLUMN_MAXSEQ, OOM_COLUMNS
} oom_column;

#define OOM_MISSING INT64_MIN /* a value of a row that cannot be; its reason says why */
const char *oom_column_name(oom_column c);

typedef struct { oom_column column; int64_t least, most; } oom_between;

typedef struct {
    oom_between where[16]; size_t n_where;  /* rows must satisfy all; missing values satisfy none */
    oom_column columns[OOM_COLUMNS]; size_t n_columns;  /* kept of each row */
    bool count_only;    /* with group: of each group, `values` is how many, `index` its place */
    bool keep_reasons; /* rows that cannot be are kept, too, with values missing */
    /* best of each value of an axis by a column; OOM_AXES: no grouping */
    oom_axis group;
    oom_column by;
    bool smallest;
    size_t top;                             /* > 0: only the n best by `by` */
    unsigned threads;                       /* 0: one */
    size_t max_bytes;                       /* of stored rows; 0: no limit */
    /* Called now and then from the calling thread; false stops the run, keeping what is done. */
    bool (*go_on)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
} oom_query;

typedef struct {
    uint64_t points;            /* rows of the grid looked at */
    uint64_t matched;
    size_t n;                   /* rows kept, in order of index (group, top: in order of rank) */
    uint64_t *index;
    int64_t *values;            /* n x n_columns */
    size_t n_columns, cap, index_cap;
    bool stopped;
    const oom_alloc *alloc;
} oom_rows;

oom_status oom_grid_run(const oom_grid *g, const oom_query *q, const oom_alloc *a, oom_rows *out,
                        oom_error *err);
/* The n rows at `index`, in that order; of the query only columns and go_on. */
oom_status oom_grid_pick(const oom_grid *g, const oom_query *q, const uint64_t *index, size_t n,
                         const oom_alloc *a, oom_rows *out, oom_error *err);
/* Appends row `row` of `from`, which has the same columns. */
oom_status oom_rows_add(oom_rows *to, const oom_rows *from, size_t row, oom_error *err);
void oom_rows_free(oom_rows *rows);
uint64_t oom_grid_size(const oom_grid *g);                      /* SAT_TOOLARGE: past 2^63 */
void oom_grid_at(const oom_grid *g, uint64_t index, size_t at[OOM_AXES]);
/* Why the row at `index` cannot be: fills err and returns its status; OOM_OK when it can. */
oom_status oom_grid_reason(const oom_grid *g, uint64_t index, oom_error *err);

/* ---- text (text.c) --------------------------------------------------------------------------- */

/* "24GiB", "24GB" (decimal), "16384MiB", "32Ki", "7e9": exact or refused. */
oom_status oom_text_bytes(const char *s, uint64_t *bytes, oom_error *err);
oom_status oom_text_count(const char *s, uint64_t *count, oom_error *err);

/* Two names are the same for people when they differ in case and in -_. :/ only; a dot between
 * digits counts (opt-1.3b, opt-13b). */
bool oom_text_same(const char *a, const char *b);
/* Up to `max` of `names` nearest to `s` (edit distance <= 3, then substring), best first. */
size_t oom_text_nearest(const char *s, const char *const *names, size_t n, const char **best,
                        size_t max);
/* Copies text from a file for a message: control characters escaped, cut at 40 columns. */
const char *oom_text_quote(const char *s, size_t len, char *buf, size_t buf_bytes);

#endif
