/* enginelog.c: start-up logs of vLLM and llama.cpp, and PyTorch's "out of memory" message. Two
 * tables say what is looked for: phrases that stand before (or after) a figure, and settings that
 * are written NAME=value, 'NAME': value, --name value or NAME   = value. A line is looked at by
 * itself, so that whatever a terminal, a web page or a container put around it does not matter. */
#include "logfigure.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_LINE = 1 << 16 };

#define VLLM "vllm"
#define LLAMA "llama.cpp"
#define TORCH "torch"

/* vLLM wrote GiB as "GB" until 0.8 (csrc and model_runner.py divide by 2^30). */
static const log_row phrases[] = {
    { VLLM, "version", "LLM engine (v", LOG_WORD, 0 },
    { VLLM, "version", "vLLM API server version ", LOG_WORD, 0 },
    { VLLM, "version", "\xe2\x96\x88  version ", LOG_WORD, 0 },      /* beside the logo */
    /* wordings that came and went with versions */
    { VLLM, "took_memory", " GiB memory and ", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "took_gib", " GiB and ", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "took_gb", " GB and ", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "numbered_core", "(EngineCore_DP", LOG_COUNT, 0 },
    { VLLM, "graphs_since", "profiling is enabled (default since v0.", LOG_REAL, 0 },
    { VLLM, "model", "Starting to load model ", LOG_WORD, 0 },
    { VLLM, "model", "vllm serve ", LOG_WORD, 0 },
    { VLLM, "max_model_len", "Using max model len ", LOG_COUNT, 0 },
    { VLLM, "max_num_seqs", "Defaulting max_num_seqs to ", LOG_COUNT, 0 },
    { VLLM, "tensor_parallel_size", " -tp ", LOG_COUNT, 0 },
    { VLLM, "pipeline_parallel_size", " -pp ", LOG_COUNT, 0 },
    { VLLM, "gpu_memory_utilization", "gpu_memory_utilization (", LOG_REAL, 0 },
    { VLLM, "gpu_memory_utilization", "Desired GPU memory utilization is (", LOG_REAL, 0 },
    { VLLM, "gpu_memory_utilization", "Requested memory: ", LOG_REAL, 0 },
    { VLLM, "gpu_memory_utilization", "Desired GPU utilization: ", LOG_REAL, 0 },
    { VLLM, "requested", "(util), ", LOG_SIZE, LOG_GIB },
    { VLLM, "requested", "Desired GPU memory utilization is (0.", LOG_SIZE_IN, LOG_GIB },
    { VLLM, "requested", "Desired GPU utilization: ", LOG_SIZE_IN, LOG_GIB },
    { VLLM, "device", "device_name=", LOG_WORD, 0 },
    { VLLM, "flash_version", "Using FlashAttention version ", LOG_COUNT, 0 },
    { VLLM, "checkpoint", "Checkpoint size: ", LOG_SIZE, LOG_GIB },
    { VLLM, "weights", "Model loading took", LOG_SIZE, LOG_GIB },
    { VLLM, "weights", "Loading model weights took", LOG_SIZE, LOG_GIB },
    { VLLM, "weights", "model weights take ", LOG_SIZE, LOG_GIB },
    { VLLM, "weights", "weights memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "weights", " for weight", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "activations", "PyTorch activation peak memory takes ", LOG_SIZE, LOG_GIB },
    { VLLM, "activations", "torch peak memory increase: ", LOG_SIZE, LOG_GIB },
    { VLLM, "activations", "Peak activation memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "activations", " for peak activation", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "non_torch", "non_torch_memory takes ", LOG_SIZE, LOG_GIB },
    /* after a comma it is the snapshot before the start, not the profile run's */
    { VLLM, "non_torch", "GiB non_torch_memory=", LOG_SIZE, LOG_GIB },
    { VLLM, "non_torch", "non-torch forward increase memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "non_torch", "Non-torch memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "non_torch", " for non-torch memory", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "kv", "reserved for KV Cache is ", LOG_SIZE, LOG_GIB },
    { VLLM, "kv", "Available KV cache memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "kv", "kv_cache_size=", LOG_SIZE, LOG_GIB },
    { VLLM, "kv", "Current kv cache memory in use is ", LOG_SIZE, LOG_GIB },
    { VLLM, "kv_fixed", " memory for KV Cache as specified", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "graphs", "secs, took ", LOG_SIZE, LOG_GIB },
    { VLLM, "graphs", "CUDAGraph memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "graphs", "CUDA graph pool memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "graphs", " for CUDAGraph memory", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "graphs_estimate", "Estimated CUDA graph memory: ", LOG_SIZE, LOG_GIB },
    { VLLM, "blocks", "# GPU blocks: ", LOG_COUNT, 0 },
    { VLLM, "blocks", "# CUDA blocks: ", LOG_COUNT, 0 },
    { VLLM, "blocks", "# cuda blocks: ", LOG_COUNT, 0 },
    { VLLM, "blocks", "num_gpu_blocks is: ", LOG_COUNT, 0 },
    { VLLM, "cpu_blocks", "# CPU blocks: ", LOG_COUNT, 0 },
    { VLLM, "tokens", "GPU KV cache size: ", LOG_COUNT, 0 },
    { VLLM, "max_model_len", "Maximum concurrency for ", LOG_COUNT, 0 },
    { VLLM, "concurrency", "tokens per request: ", LOG_REAL, 0 },
    { VLLM, "total", "total_gpu_memory (", LOG_SIZE, LOG_GIB },
    { VLLM, "total", "total_gpu_memory=", LOG_SIZE, LOG_GIB },
    { VLLM, "total", " on startup", LOG_SIZE_BEFORE, LOG_GIB },
    { VLLM, "block_size", "Setting attention block size to ", LOG_COUNT, 0 },

    { LLAMA, "version", "build: ", LOG_WORD, 0 },
    { LLAMA, "file", " tensors from ", LOG_WORD, 0 },
    { LLAMA, "file", "loading model '", LOG_WORD, 0 },
    { LLAMA, "name", "general.name str", LOG_REST, 0 },
    { LLAMA, "precision", "file type", LOG_REST, 0 },
    { LLAMA, "precision", "model ftype", LOG_REST, 0 },
    { LLAMA, "precision", "= (guessed) ", LOG_REST, 0 },
    { LLAMA, "params", "model params", LOG_REAL, 0 },
    { LLAMA, "device", "GPU name: ", LOG_REST, 0 },
    { LLAMA, "total", "VRAM: ", LOG_SIZE, LOG_MIB },
    { LLAMA, "metal_limit", "recommendedMaxWorkingSetSize", LOG_SIZE, LOG_MIB },
    { LLAMA, "offloaded", "offloaded ", LOG_COUNT, 0 },
    { LLAMA, "cells", " MiB (", LOG_COUNT, 0 },
    { LLAMA, "type_k", " K (", LOG_WORD, 0 },
    { LLAMA, "type_v", " V (", LOG_WORD, 0 },
    { LLAMA, "gpu_layers", " -ngl ", LOG_COUNT, 0 },
    { LLAMA, "gpu_layers", " --n-gpu-layers ", LOG_COUNT, 0 },
    { LLAMA, "gpu_layers", " --gpu-layers ", LOG_COUNT, 0 },
    { LLAMA, "cpu_moe", " --n-cpu-moe ", LOG_COUNT, 0 },
    { LLAMA, "tensor_split", " -ts ", LOG_SHARES, 0 },
    { LLAMA, "split_mode", " -sm ", LOG_WORD, 0 },
    { LLAMA, "file", " -m ", LOG_WORD, 0 },

    { TORCH, "maker", "torch.OutOfMemoryError: ", LOG_WORD, 0 },
    { TORCH, "maker", "torch.cuda.OutOfMemoryError: ", LOG_WORD, 0 },
    { TORCH, "maker", "RuntimeError: ", LOG_WORD, 0 },
    { TORCH, "asked", "Tried to allocate ", LOG_SIZE, LOG_GIB },
    { TORCH, "allowed", "max allowed: ", LOG_SIZE, LOG_GIB },   /* of Apple's GPUs */
    { TORCH, "allocated", "MPS allocated: ", LOG_SIZE, LOG_GIB },
    { TORCH, "total", "capacity of ", LOG_SIZE, LOG_GIB },
    { TORCH, "total", "capacty of ", LOG_SIZE, LOG_GIB },       /* sic, torch 2.1 */
    { TORCH, "total", " total capacity;", LOG_SIZE_BEFORE, LOG_GIB },
    { TORCH, "free", " is free", LOG_SIZE_BEFORE, LOG_GIB },
    { TORCH, "free", " free;", LOG_SIZE_BEFORE, LOG_GIB },
    { TORCH, "in_use", "this process has ", LOG_SIZE, LOG_GIB },
    { TORCH, "allocated", "Of the allocated memory ", LOG_SIZE, LOG_GIB },
    { TORCH, "allocated", " already allocated;", LOG_SIZE_BEFORE, LOG_GIB },
    { TORCH, "unallocated", " is reserved by PyTorch but unallocated", LOG_SIZE_BEFORE, LOG_GIB },
    { TORCH, "reserved", " reserved in total by PyTorch", LOG_SIZE_BEFORE, LOG_GIB },
};
#define N_PHRASES (sizeof phrases / sizeof *phrases)

/* Settings: vLLM's in the dump of its arguments, in "with config:" and on its command line,
 * llama.cpp's in print_info and llama_context. */
static const log_row settings[] = {
    { VLLM, "model", "model", LOG_WORD, 0 },
    { VLLM, "model", "model_tag", LOG_WORD, 0 },
    { VLLM, "dtype", "dtype", LOG_WORD, 0 },
    { VLLM, "max_model_len", "max_model_len", LOG_COUNT, 0 },
    { VLLM, "max_model_len", "max_seq_len", LOG_COUNT, 0 },
    { VLLM, "tensor_parallel_size", "tensor_parallel_size", LOG_COUNT, 0 },
    { VLLM, "pipeline_parallel_size", "pipeline_parallel_size", LOG_COUNT, 0 },
    { VLLM, "data_parallel_size", "data_parallel_size", LOG_COUNT, 0 },
    { VLLM, "expert_parallel", "enable_expert_parallel", LOG_TRUTH, 0 },
    { VLLM, "quantization", "quantization", LOG_WORD, 0 },
    { VLLM, "kv_cache_dtype", "kv_cache_dtype", LOG_WORD, 0 },
    { VLLM, "eager", "enforce_eager", LOG_TRUTH, 0 },
    { VLLM, "gpu_memory_utilization", "gpu_memory_utilization", LOG_REAL, 0 },
    { VLLM, "max_num_batched_tokens", "max_num_batched_tokens", LOG_COUNT, 0 },
    { VLLM, "max_num_seqs", "max_num_seqs", LOG_COUNT, 0 },
    { VLLM, "block_size", "block_size", LOG_COUNT, 0 },
    { VLLM, "prefix_caching", "enable_prefix_caching", LOG_TRUTH, 0 },

    { LLAMA, "n_ctx", "n_ctx", LOG_COUNT, 0 },
    { LLAMA, "n_ctx_seq", "n_ctx_seq", LOG_COUNT, 0 },
    { LLAMA, "n_ctx_seq", "n_ctx_per_seq", LOG_COUNT, 0 },
    { LLAMA, "n_seq_max", "n_seq_max", LOG_COUNT, 0 },
    { LLAMA, "n_batch", "n_batch", LOG_COUNT, 0 },
    { LLAMA, "n_ubatch", "n_ubatch", LOG_COUNT, 0 },
    { LLAMA, "flash", "flash_attn", LOG_TRUTH, 0 },
    { LLAMA, "n_outputs_max", "n_outputs_max", LOG_COUNT, 0 },
    { LLAMA, "unified", "kv_unified", LOG_TRUTH, 0 },
    { LLAMA, "tensor_split", "tensor_split", LOG_SHARES, 0 },
    { LLAMA, "split_mode", "split_mode", LOG_WORD, 0 },
    { LLAMA, "arch", "arch", LOG_WORD, 0 },
    { LLAMA, "name", "general.name", LOG_REST, 0 },
    { LLAMA, "n_layer", "n_layer", LOG_COUNT, 0 },
    { LLAMA, "n_embd", "n_embd", LOG_COUNT, 0 },
    { LLAMA, "n_vocab", "n_vocab", LOG_COUNT, 0 },
};
#define N_SETTINGS (sizeof settings / sizeof *settings)

/* ---- lines ----------------------------------------------------------------------------------- */

static const char *find(const char *s, const char *end, const char *what)
{
    return memmem(s, (size_t)(end - s), what, strlen(what));
}

static void take_phrase(log_reader *r, const log_row *w, const char *start, const char *end)
{
    const char *at = find(start, end, w->phrase);

    if (at && w->form == LOG_SIZE_BEFORE)
        log_take(r, w, NULL, start, at);
    else if (at)
        log_take(r, w, NULL, at + strlen(w->phrase), end);
}

static const char *last_word(const char *start, const char *end)
{
    while (end > start && end[-1] != ' ')
        end--;
    return end;
}

/* "load_tensors:        CUDA0 model buffer size =  4403.49 MiB": whose, what for, how much. */
static void take_buffer(log_reader *r, const char *start, const char *end)
{
    static const struct { const char *word, *key; } kinds[] = {
        { "model", "buffer.model" }, { "KV", "buffer.kv" }, { "RS", "buffer.state" },
        { "compute", "buffer.compute" }, { "output", "buffer.output" },
    };
    log_row w = { LLAMA, "buffer.model", " buffer size =", LOG_SIZE, LOG_MIB };
    const char *at = find(start, end, w.phrase), *stop = at, *word;

    if (!at)
        return;
    word = last_word(start, stop);
    /* until 2024 the model's buffers said only where they are */
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((size_t)(at - word) == strlen(kinds[i].word)
            && strncmp(word, kinds[i].word, (size_t)(at - word)) == 0) {
            w.key = kinds[i].key;
            for (stop = word; stop > start && stop[-1] == ' '; stop--)
                ;
        }
    if (stop != at)
        word = last_word(start, stop);
    if (word > start && word < stop && stop - word <= 64)
        log_take(r, &w, log_text(r, word, (size_t)(stop - word)), at + strlen(w.phrase), end);
}

static bool of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* vLLM writes name=value, llama.cpp name   = value, a command line --name value. */
static void take_setting(log_reader *r, const char *name, bool flag, bool spaced, const char *value,
                         const char *end)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const log_row *w = &settings[i];

        if (strcmp(w->phrase, name) == 0 && (flag || spaced == (strcmp(w->engine, LLAMA) == 0)))
            log_take(r, w, NULL, value, end);
    }
}

/* Every NAME of `settings` in the line that is given a value. */
static void take_settings(log_reader *r, const char *start, const char *end)
{
    for (const char *s = start, *value; s < end; s = value) {
        char name[40];
        const char *first = s;
        bool flag, spaced, quoted;
        size_t len;

        while (s < end && of_name(*s))
            s++;
        value = s + (s < end);
        flag = s - first > 2 && first[0] == '-' && first[1] == '-';
        first += flag ? 2 : 0;
        len = (size_t)(s - first);
        if (len == 0 || len >= sizeof name)
            continue;
        for (size_t i = 0; i < len; i++)
            name[i] = first[i] == '-' ? '_' : first[i];
        name[len] = '\0';
        quoted = s < end && (*s == '\'' || *s == '"');
        s += quoted;
        spaced = s < end && *s == ' ';
        while (s < end && *s == ' ')
            s++;
        if (s < end && (flag || *s == '=' || (*s == ':' && (quoted || spaced))))
            take_setting(r, name, flag, spaced, s, end);
    }
}

/* "offloaded 33/33 layers to GPU": the second count. */
static void take_layers(log_reader *r, const char *start, const char *end)
{
    static const log_row layers = { LLAMA, "layers", " layers to GPU", LOG_SIZE_BEFORE, 1 };
    const char *at = find(start, end, "offloaded ");

    if (at)
        take_phrase(r, &layers, at, end);
}

/* "using device CUDA0 (NVIDIA GeForce RTX 4090) (0000:01:00.0) - 23819 MiB free". */
static void take_used_device(log_reader *r, const char *start, const char *end)
{
    static const log_row device = { LLAMA, "device", "using device ", LOG_REST, 0 };
    static const log_row unused = { LLAMA, "free", " - ", LOG_SIZE, LOG_MIB };
    const char *at = find(start, end, device.phrase), *open, *dash, *place;

    open = at ? find(at, end, " (") : NULL;
    at = open ? at + strlen(device.phrase) : NULL;
    if (!open || open <= at || open - at > 32)
        return;
    place = log_text(r, at, (size_t)(open - at));
    log_take(r, &device, place, open + 2, end);
    dash = find(open, end, unused.phrase);
    if (dash)
        log_take(r, &unused, place, dash + strlen(unused.phrase), end);
}

/* Before that "  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes": "#0" is its
 * number, whatever the back end calls it. */
static void take_found_device(log_reader *r, const char *start, const char *end)
{
    static const log_row device = { LLAMA, "device", "Device ", LOG_REST, 0 };
    const char *at = find(start, end, device.phrase), *stop;
    char place[8];

    if (!at || !find(at, end, ", compute capability"))
        return;
    at += strlen(device.phrase);
    for (stop = at; isdigit((unsigned char)*stop); stop++)
        ;                               /* the comma found above ends it */
    if (stop == at || stop - at > 3 || *stop != ':')
        return;
    snprintf(place, sizeof place, "#%.*s", (int)(stop - at), at);
    log_take(r, &device, log_text(r, place, strlen(place)), stop + 1, end);
}

static void take_line(log_reader *r, const char *start, const char *end)
{
    for (size_t i = 0; i < N_PHRASES && !r->failed; i++)
        take_phrase(r, &phrases[i], start, end);
    take_buffer(r, start, end);
    take_layers(r, start, end);
    take_used_device(r, start, end);
    take_found_device(r, start, end);
    take_settings(r, start, end);
}

oom_status read_engine_log(oom_arena *arena, const char *text, size_t n, read_log *out,
                           oom_error *err)
{
    log_reader r = { .arena = arena, .err = err };
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
