/* enginelog.c: start-up logs of vLLM and llama.cpp, and PyTorch's "out of memory" message. Two
 * tables say what is looked for: phrases that stand before (or after) a figure, and settings that
 * are written NAME=value, 'NAME': value, --name value or NAME   = value. A line is looked at by
 * itself, so that whatever a terminal, a web page or a container put around it does not matter. */
#include "enginelog.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((double)((uint64_t)1 << 20))
#define GIB ((double)((uint64_t)1 << 30))

enum { LONGEST_LINE = 1 << 16, LONGEST_TEXT = 512 };

typedef enum {
    SIZE,                       /* 15.49 GiB */
    SIZE_BEFORE,                /* the same, in front of the phrase */
    SIZE_IN,                    /* the same, after a share: "0.9 (71.26 GiB)", "0.9, 71.26 GiB" */
    COUNT,                      /* 569,878 */
    REAL,                       /* 0.90 */
    WORD,                       /* up to a blank, a comma, a quote or a bracket */
    REST,                       /* up to the end of the line, a comma or a bracket */
    SHARES,                     /* 3,1 */
    TRUTH                       /* True, false, 1, 0, enabled, auto */
} form;

typedef struct { const char *engine, *key, *phrase; form form; double unit; } row;

#define VLLM "vllm"
#define LLAMA "llama.cpp"
#define TORCH "torch"

/* vLLM wrote GiB as "GB" until 0.8 (csrc and model_runner.py divide by 2^30). */
static const row phrases[] = {
    { VLLM, "version", "LLM engine (v", WORD, 0 },
    { VLLM, "version", "vLLM API server version ", WORD, 0 },
    { VLLM, "model", "Starting to load model ", WORD, 0 },
    { VLLM, "model", "vllm serve ", WORD, 0 },
    { VLLM, "max_model_len", "Using max model len ", COUNT, 0 },
    { VLLM, "tensor_parallel_size", " -tp ", COUNT, 0 },
    { VLLM, "pipeline_parallel_size", " -pp ", COUNT, 0 },
    { VLLM, "gpu_memory_utilization", "gpu_memory_utilization (", REAL, 0 },
    { VLLM, "gpu_memory_utilization", "Desired GPU memory utilization is (", REAL, 0 },
    { VLLM, "gpu_memory_utilization", "Requested memory: ", REAL, 0 },
    { VLLM, "gpu_memory_utilization", "Desired GPU utilization: ", REAL, 0 },
    { VLLM, "requested", "(util), ", SIZE, GIB },
    { VLLM, "requested", "Desired GPU memory utilization is (0.", SIZE_IN, GIB },
    { VLLM, "requested", "Desired GPU utilization: ", SIZE_IN, GIB },
    { VLLM, "device", "device_name=", WORD, 0 },
    { VLLM, "checkpoint", "Checkpoint size: ", SIZE, GIB },
    { VLLM, "weights", "Model loading took", SIZE, GIB },
    { VLLM, "weights", "Loading model weights took", SIZE, GIB },
    { VLLM, "weights", "model weights take ", SIZE, GIB },
    { VLLM, "weights", "weights memory: ", SIZE, GIB },
    { VLLM, "weights", " for weight", SIZE_BEFORE, GIB },
    { VLLM, "activations", "PyTorch activation peak memory takes ", SIZE, GIB },
    { VLLM, "activations", "torch peak memory increase: ", SIZE, GIB },
    { VLLM, "activations", "Peak activation memory: ", SIZE, GIB },
    { VLLM, "activations", " for peak activation", SIZE_BEFORE, GIB },
    { VLLM, "non_torch", "non_torch_memory takes ", SIZE, GIB },
    { VLLM, "non_torch", "non_torch_memory=", SIZE, GIB },
    { VLLM, "non_torch", "non-torch forward increase memory: ", SIZE, GIB },
    { VLLM, "non_torch", "Non-torch memory: ", SIZE, GIB },
    { VLLM, "non_torch", " for non-torch memory", SIZE_BEFORE, GIB },
    { VLLM, "kv", "reserved for KV Cache is ", SIZE, GIB },
    { VLLM, "kv", "Available KV cache memory: ", SIZE, GIB },
    { VLLM, "kv", "kv_cache_size=", SIZE, GIB },
    { VLLM, "kv", "Current kv cache memory in use is ", SIZE, GIB },
    { VLLM, "kv_fixed", " memory for KV Cache as specified", SIZE_BEFORE, GIB },
    { VLLM, "graphs", "secs, took ", SIZE, GIB },
    { VLLM, "graphs", "CUDAGraph memory: ", SIZE, GIB },
    { VLLM, "graphs", "CUDA graph pool memory: ", SIZE, GIB },
    { VLLM, "graphs", " for CUDAGraph memory", SIZE_BEFORE, GIB },
    { VLLM, "graphs_estimate", "Estimated CUDA graph memory: ", SIZE, GIB },
    { VLLM, "blocks", "# GPU blocks: ", COUNT, 0 },
    { VLLM, "blocks", "# CUDA blocks: ", COUNT, 0 },
    { VLLM, "blocks", "# cuda blocks: ", COUNT, 0 },
    { VLLM, "blocks", "num_gpu_blocks is: ", COUNT, 0 },
    { VLLM, "cpu_blocks", "# CPU blocks: ", COUNT, 0 },
    { VLLM, "tokens", "GPU KV cache size: ", COUNT, 0 },
    { VLLM, "max_model_len", "Maximum concurrency for ", COUNT, 0 },
    { VLLM, "concurrency", "tokens per request: ", REAL, 0 },
    { VLLM, "total", "total_gpu_memory (", SIZE, GIB },
    { VLLM, "total", "total_gpu_memory=", SIZE, GIB },
    { VLLM, "total", " on startup", SIZE_BEFORE, GIB },
    { VLLM, "block_size", "Setting attention block size to ", COUNT, 0 },

    { LLAMA, "version", "build: ", WORD, 0 },
    { LLAMA, "file", " tensors from ", WORD, 0 },
    { LLAMA, "file", "loading model '", WORD, 0 },
    { LLAMA, "name", "general.name str", REST, 0 },
    { LLAMA, "precision", "file type", REST, 0 },
    { LLAMA, "precision", "model ftype", REST, 0 },
    { LLAMA, "params", "model params", REAL, 0 },
    { LLAMA, "device", "GPU name: ", REST, 0 },
    { LLAMA, "total", "VRAM: ", SIZE, MIB },
    { LLAMA, "metal_limit", "recommendedMaxWorkingSetSize", SIZE, MIB },
    { LLAMA, "offloaded", "offloaded ", COUNT, 0 },
    { LLAMA, "cells", " MiB (", COUNT, 0 },
    { LLAMA, "type_k", " K (", WORD, 0 },
    { LLAMA, "type_v", " V (", WORD, 0 },
    { LLAMA, "gpu_layers", " -ngl ", COUNT, 0 },
    { LLAMA, "gpu_layers", " --n-gpu-layers ", COUNT, 0 },
    { LLAMA, "gpu_layers", " --gpu-layers ", COUNT, 0 },
    { LLAMA, "cpu_moe", " --n-cpu-moe ", COUNT, 0 },
    { LLAMA, "tensor_split", " -ts ", SHARES, 0 },
    { LLAMA, "split_mode", " -sm ", WORD, 0 },
    { LLAMA, "file", " -m ", WORD, 0 },

    { TORCH, "asked", "Tried to allocate ", SIZE, GIB },
    { TORCH, "total", "capacity of ", SIZE, GIB },
    { TORCH, "total", "capacty of ", SIZE, GIB },       /* sic, torch 2.1 */
    { TORCH, "total", " total capacity;", SIZE_BEFORE, GIB },
    { TORCH, "free", " is free", SIZE_BEFORE, GIB },
    { TORCH, "free", " free;", SIZE_BEFORE, GIB },
    { TORCH, "in_use", "this process has ", SIZE, GIB },
    { TORCH, "allocated", "Of the allocated memory ", SIZE, GIB },
    { TORCH, "allocated", " already allocated;", SIZE_BEFORE, GIB },
    { TORCH, "unallocated", " is reserved by PyTorch but unallocated", SIZE_BEFORE, GIB },
    { TORCH, "reserved", " reserved in total by PyTorch", SIZE_BEFORE, GIB },
};
#define N_PHRASES (sizeof phrases / sizeof *phrases)

/* Settings: vLLM's in the dump of its arguments, in "with config:" and on its command line,
 * llama.cpp's in print_info and llama_context. */
static const row settings[] = {
    { VLLM, "model", "model", WORD, 0 },
    { VLLM, "model", "model_tag", WORD, 0 },
    { VLLM, "dtype", "dtype", WORD, 0 },
    { VLLM, "max_model_len", "max_model_len", COUNT, 0 },
    { VLLM, "max_model_len", "max_seq_len", COUNT, 0 },
    { VLLM, "tensor_parallel_size", "tensor_parallel_size", COUNT, 0 },
    { VLLM, "pipeline_parallel_size", "pipeline_parallel_size", COUNT, 0 },
    { VLLM, "data_parallel_size", "data_parallel_size", COUNT, 0 },
    { VLLM, "expert_parallel", "enable_expert_parallel", TRUTH, 0 },
    { VLLM, "quantization", "quantization", WORD, 0 },
    { VLLM, "kv_cache_dtype", "kv_cache_dtype", WORD, 0 },
    { VLLM, "eager", "enforce_eager", TRUTH, 0 },
    { VLLM, "gpu_memory_utilization", "gpu_memory_utilization", REAL, 0 },
    { VLLM, "max_num_batched_tokens", "max_num_batched_tokens", COUNT, 0 },
    { VLLM, "max_num_seqs", "max_num_seqs", COUNT, 0 },
    { VLLM, "block_size", "block_size", COUNT, 0 },
    { VLLM, "prefix_caching", "enable_prefix_caching", TRUTH, 0 },

    { LLAMA, "n_ctx", "n_ctx", COUNT, 0 },
    { LLAMA, "n_ctx_seq", "n_ctx_seq", COUNT, 0 },
    { LLAMA, "n_ctx_seq", "n_ctx_per_seq", COUNT, 0 },
    { LLAMA, "n_seq_max", "n_seq_max", COUNT, 0 },
    { LLAMA, "n_batch", "n_batch", COUNT, 0 },
    { LLAMA, "n_ubatch", "n_ubatch", COUNT, 0 },
    { LLAMA, "flash", "flash_attn", TRUTH, 0 },
    { LLAMA, "n_outputs_max", "n_outputs_max", COUNT, 0 },
    { LLAMA, "unified", "kv_unified", TRUTH, 0 },
    { LLAMA, "tensor_split", "tensor_split", SHARES, 0 },
    { LLAMA, "split_mode", "split_mode", WORD, 0 },
    { LLAMA, "arch", "arch", WORD, 0 },
    { LLAMA, "name", "general.name", REST, 0 },
    { LLAMA, "n_layer", "n_layer", COUNT, 0 },
    { LLAMA, "n_embd", "n_embd", COUNT, 0 },
    { LLAMA, "n_vocab", "n_vocab", COUNT, 0 },
};
#define N_SETTINGS (sizeof settings / sizeof *settings)

typedef struct {
    oom_arena *arena;
    read_fact *facts;
    size_t n, cap;
    uint32_t line;
    bool cut, failed;
    oom_error *err;
} reader;

/* ---- keeping ------------------------------------------------------------------------------- */

static void keep(reader *r, const read_fact *fact)
{
    if (r->failed || r->cut)
        return;
    if (r->n == READ_MOST_FACTS) {
        r->cut = true;
        return;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 4 : 64;
        read_fact *more = oom_arena_get(r->arena, cap * sizeof *more, r->err);

        if (!more) {
            r->failed = true;
            return;
        }
        if (r->n)
            memcpy(more, r->facts, r->n * sizeof *more);
        r->facts = more;
        r->cap = cap;
    }
    r->facts[r->n] = *fact;
    r->facts[r->n++].line = r->line;
}

static const char *kept_text(reader *r, const char *s, size_t len)
{
    const char *text = oom_arena_text(r->arena, s, len, r->err);

    if (!text)
        r->failed = true;
    return text;
}

static void keep_text(reader *r, const row *w, const char *place, const char *s, size_t len)
{
    read_fact fact = { .engine = w->engine, .key = w->key, .place = place };

    if (len == 0 || len > LONGEST_TEXT)
        return;
    fact.text = kept_text(r, s, len);
    if (fact.text)
        keep(r, &fact);
}

static void keep_number(reader *r, const row *w, const char *place, double number, double slack)
{
    read_fact fact = { .engine = w->engine, .key = w->key, .place = place, .number = number,
                       .slack = slack };

    keep(r, &fact);
}

/* ---- figures --------------------------------------------------------------------------------- */

/* A decimal number at s, before `end`, with commas between thousands; returns where it stops,
 * NULL when there is none. *slack: half of its last digit. */
static const char *number_at(const char *s, const char *end, double *number, double *slack)
{
    const char *at = s;
    double value = 0, place = 1;
    bool minus = at < end && *at == '-', digits = false;

    at += minus;
    for (; at < end; at++) {
        if (isdigit((unsigned char)*at)) {
            value = value * 10 + (*at - '0');
            digits = true;
        } else if (!(*at == ',' && digits && end - at > 3 && isdigit((unsigned char)at[1])
                     && isdigit((unsigned char)at[2]) && isdigit((unsigned char)at[3]))) {
            break;
        }
    }
    if (digits && end - at > 1 && *at == '.' && isdigit((unsigned char)at[1]))
        for (at++; at < end && isdigit((unsigned char)*at); at++)
            if (place < 1e9) {          /* more digits than any engine prints */
                value = value * 10 + (*at - '0');
                place *= 10;
            }
    if (!digits || !(value < 1e18))
        return NULL;
    *number = (minus ? -value : value) / place;     /* rounded once: 0.95 is 0.95 */
    *slack = place > 1 ? 0.5 / place : 0;
    return at;
}

static bool unit_is(const char *s, size_t len, const char *name)
{
    return len == strlen(name) && strncmp(s, name, len) == 0;
}

/* Bytes of the unit at s; `otherwise` where there is none. GB and MB of an engine are its own. */
static double unit_at(const char *s, const char *end, double otherwise)
{
    size_t len = 0;

    while (s < end && *s == ' ')
        s++;
    while (s + len < end && isalpha((unsigned char)s[len]) && len < 8)
        len++;
    if (unit_is(s, len, "GiB"))
        return GIB;
    if (unit_is(s, len, "MiB"))
        return MIB;
    if (unit_is(s, len, "KiB"))
        return 1024;
    if (unit_is(s, len, "bytes") || unit_is(s, len, "B"))
        return 1;
    /* "GB" of vLLM means 2^30; "MB" of Metal's limit and of torch's is what it says */
    if (unit_is(s, len, "GB"))
        return GIB;
    if (unit_is(s, len, "MB"))
        return 1e6;
    return otherwise;
}

static const char *blanks(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == ':' || *s == '='))
        s++;
    return s;
}

static void take_size(reader *r, const row *w, const char *place, const char *s, const char *end)
{
    double number, slack, unit;
    const char *after = number_at(blanks(s, end), end, &number, &slack);

    if (!after)
        return;
    unit = unit_at(after, end, w->unit);
    keep_number(r, w, place, number * unit, slack * unit);
}

/* The number and unit that end just before `end`: "78.66/79.19 GiB) on startup". */
static void take_size_before(reader *r, const row *w, const char *start, const char *end)
{
    const char *s = end;

    while (s > start && strchr(" )*", s[-1]))
        s--;
    while (s > start && isalpha((unsigned char)s[-1]))
        s--;
    while (s > start && s[-1] == ' ')
        s--;
    while (s > start && (isdigit((unsigned char)s[-1]) || s[-1] == '.'))
        s--;
    if (s > start && s[-1] == '-')
        s--;
    take_size(r, w, NULL, s, end);
}

/* What follows the share that the phrase announces. */
static void take_size_in(reader *r, const row *w, const char *s, const char *end)
{
    while (s < end && (isdigit((unsigned char)*s) || *s == '.'))
        s++;
    while (s < end && (*s == ' ' || *s == ',' || *s == '('))
        s++;
    take_size(r, w, NULL, s, end);
}

static void take_word(reader *r, const row *w, const char *s, const char *end)
{
    size_t len = 0;

    s = blanks(s, end);
    while (s < end && (*s == '\'' || *s == '"'))
        s++;
    while (s + len < end && (unsigned char)s[len] > ' ' && !strchr(",'\")}]", s[len]))
        len++;
    while (len && (s[len - 1] == '.' || s[len - 1] == ';'))     /* "model NAME..." */
        len--;
    keep_text(r, w, NULL, s, len);
}

static void take_shares(reader *r, const row *w, const char *s, const char *end)
{
    size_t len = 0;

    s = blanks(s, end);
    while (s + len < end && (isdigit((unsigned char)s[len]) || (s[len] && strchr("./,", s[len]))))
        len++;
    keep_text(r, w, NULL, s, len);
}

static void keep_rest(reader *r, const row *w, const char *place, const char *s, const char *end)
{
    size_t len = 0;

    s = blanks(s, end);
    while (s + len < end && (unsigned char)s[len] >= ' ' && s[len] != ',' && s[len] != '(')
        len++;
    while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    keep_text(r, w, place, s, len);
}

static void take_truth(reader *r, const row *w, const char *s, const char *end)
{
    static const struct { const char *word; double value; } words[] = {
        { "True", 1 }, { "true", 1 }, { "enabled", 1 }, { "1", 1 },
        { "False", 0 }, { "false", 0 }, { "disabled", 0 }, { "0", 0 },
    };

    s = blanks(s, end);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i].word);

        if ((size_t)(end - s) >= len && strncmp(s, words[i].word, len) == 0) {
            keep_number(r, w, NULL, words[i].value, 0);
            return;
        }
    }
}

static void take_number(reader *r, const row *w, const char *s, const char *end)
{
    double number, slack;

    s = blanks(s, end);
    while (s < end && (*s == '\'' || *s == '"'))
        s++;
    if (number_at(s, end, &number, &slack) && (w->form == REAL || slack == 0))
        keep_number(r, w, NULL, number, slack);
}

static void take(reader *r, const row *w, const char *start, const char *at, const char *after,
                 const char *end)
{
    switch (w->form) {
    case SIZE: take_size(r, w, NULL, after, end); break;
    case SIZE_IN: take_size_in(r, w, after, end); break;
    case SIZE_BEFORE: take_size_before(r, w, start, at); break;
    case COUNT: case REAL: take_number(r, w, after, end); break;
    case WORD: take_word(r, w, after, end); break;
    case REST: keep_rest(r, w, NULL, after, end); break;
    case SHARES: take_shares(r, w, after, end); break;
    case TRUTH: take_truth(r, w, after, end); break;
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const char *find(const char *s, const char *end, const char *what)
{
    return memmem(s, (size_t)(end - s), what, strlen(what));
}

/* "load_tensors:        CUDA0 model buffer size =  4403.49 MiB": whose, what for, how much. */
static void take_buffer(reader *r, const char *start, const char *end)
{
    static const struct { const char *word, *key; } kinds[] = {
        { "model", "buffer.model" }, { "KV", "buffer.kv" }, { "RS", "buffer.state" },
        { "compute", "buffer.compute" }, { "output", "buffer.output" },
    };
    row w = { LLAMA, "buffer.model", NULL, SIZE, MIB };
    const char *at = find(start, end, " buffer size ="), *s, *word;
    const char *place;

    if (!at)
        return;
    for (s = at; s > start && s[-1] != ' '; s--)
        ;
    word = s;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((size_t)(at - word) == strlen(kinds[i].word)
            && strncmp(word, kinds[i].word, (size_t)(at - word)) == 0) {
            w.key = kinds[i].key;
            while (s > start && s[-1] == ' ')
                s--;
            for (at = s; s > start && s[-1] != ' '; s--)
                ;
            word = s;
            break;
        }
    /* until 2024 the model's buffers said only where they are */
    if (word == start || (size_t)(at - word) > 64 || at == word)
        return;
    place = kept_text(r, word, (size_t)(at - word));
    if (place)
        take_size(r, &w, place, find(at, end, "="), end);
}

static bool of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* Every NAME of `settings` in the line that is given a value. */
static void take_settings(reader *r, const char *start, const char *end)
{
    for (const char *s = start; s < end; s++) {
        char name[40];
        const char *first = s, *after;
        size_t len = 0;
        bool flag, spaced;

        if (!of_name(*s))
            continue;
        while (s < end && of_name(*s))
            s++;
        flag = s - first > 2 && first[0] == '-' && first[1] == '-';
        first += flag ? 2 : 0;
        if ((size_t)(s - first) >= sizeof name)
            continue;
        for (; first + len < s; len++)
            name[len] = first[len] == '-' ? '_' : first[len];
        name[len] = '\0';
        after = s < end && (*s == '\'' || *s == '"') ? s + 1 : s;
        spaced = after < end && *after == ' ';
        while (after < end && *after == ' ')
            after++;
        if (after >= end || !(flag || *after == '=' || (*after == ':' && after > s)))
            continue;
        for (size_t i = 0; i < N_SETTINGS; i++) {
            const row *w = &settings[i];

            /* vLLM writes name=value, llama.cpp name   = value */
            if (strcmp(w->phrase, name) == 0
                && (flag || spaced == (strcmp(w->engine, LLAMA) == 0)))
                take(r, w, start, first, after, end);
        }
    }
}

/* "offloaded 33/33 layers to GPU": the second count. */
static void take_slashed(reader *r, const char *start, const char *end)
{
    static const row layers = { LLAMA, "layers", NULL, COUNT, 0 };
    const char *at = find(start, end, "offloaded "), *slash;

    if (!at || !find(at, end, " layers to GPU"))
        return;
    slash = memchr(at, '/', (size_t)(end - at));
    if (slash)
        take_number(r, &layers, slash + 1, end);
}

/* "using device CUDA0 (NVIDIA GeForce RTX 4090) (0000:01:00.0) - 23819 MiB free", and before that
 * "  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes". */
static void take_device(reader *r, const char *start, const char *end)
{
    static const row device = { LLAMA, "device", NULL, REST, 0 };
    static const row total = { LLAMA, "free", NULL, SIZE, MIB };
    const char *at = find(start, end, "using device "), *open, *dash;

    if (at) {
        open = memchr(at, '(', (size_t)(end - at));
        at += strlen("using device ");
        if (!open || open <= at + 1 || open - at > 32)
            return;
        const char *place = kept_text(r, at, (size_t)(open - 1 - at));
        const char *close = memchr(open, ')', (size_t)(end - open));

        if (!place || !close)
            return;
        keep_text(r, &device, place, open + 1, (size_t)(close - open - 1));
        dash = find(close, end, " - ");
        if (dash)
            take_size(r, &total, place, dash + 3, end);
        return;
    }
    at = find(start, end, "Device ");
    if (!at || end - at < 12 || !isdigit((unsigned char)at[7]) ||
        !find(at, end, ", compute capability"))
        return;
    open = memchr(at, ':', (size_t)(end - at));
    if (open) {                         /* "#0": its number, whatever the back end calls it */
        char place[8];

        snprintf(place, sizeof place, "#%.*s", (int)strspn(at + 7, "0123456789"), at + 7);
        keep_rest(r, &device, kept_text(r, place, strlen(place)), open + 1, end);
    }
}

static void take_line(reader *r, const char *start, const char *end)
{
    for (size_t i = 0; i < N_PHRASES && !r->failed; i++) {
        const char *at = find(start, end, phrases[i].phrase);

        if (at)
            take(r, &phrases[i], start, at, at + strlen(phrases[i].phrase), end);
    }
    take_buffer(r, start, end);
    take_slashed(r, start, end);
    take_device(r, start, end);
    take_settings(r, start, end);
}

oom_status read_engine_log(oom_arena *arena, const char *text, size_t n, read_log *out,
                           oom_error *err)
{
    reader r = { .arena = arena, .err = err };
    const char *end = n ? text + n : text;

    for (const char *s = text; s < end && !r.failed && !r.cut;) {
        const char *stop = memchr(s, '\n', (size_t)(end - s)), *next;

        stop = stop ? stop : end;
        next = stop < end ? stop + 1 : end;
        r.line++;
        if (stop > s && stop[-1] == '\r')
            stop--;
        take_line(&r, s, stop - s > LONGEST_LINE ? s + LONGEST_LINE : stop);
        s = next;
    }
    if (r.failed)
        return OOM_NOMEM;
    *out = (read_log){ .facts = r.facts, .n = r.n, .lines = r.line, .cut = r.cut };
    return OOM_OK;
}
