/* What real logs say, line by line: figures as printed there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "enginelog.h"
#include "failing.h"

#define MIB 1048576.0
#define GIB 1073741824.0

static oom_arena *arena;

static int begin(void **state)
{
    (void)state;
    arena = oom_arena_new(&oom_libc_alloc, NULL);
    return arena == NULL;
}

static int end(void **state)
{
    (void)state;
    oom_arena_free(arena);
    return 0;
}

static char text[1 << 16];

static read_log parse(const char *s, size_t n)
{
    read_log log;

    assert_int_equal(read_engine_log(arena, s, n, &log, NULL), OOM_OK);
    return log;
}

static read_log open_log(const char *name)
{
    char path[128];
    FILE *file;
    size_t n;

    snprintf(path, sizeof path, "tests/logs/%s", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    return parse(text, n);
}

static void near(double got, double expected, double within)
{
    if (!(got - expected <= within && expected - got <= within))
        fail_msg("%.17g, expected %.17g within %g", got, expected, within);
}

/* The i-th fact (from 0) of an engine with this key and place (NULL: any). */
static const read_fact *fact(const read_log *log, const char *engine, const char *key,
                             const char *place, size_t i)
{
    for (size_t f = 0; f < log->n; f++)
        if (strcmp(log->facts[f].engine, engine) == 0 && strcmp(log->facts[f].key, key) == 0
            && (!place || (log->facts[f].place && strcmp(log->facts[f].place, place) == 0))
            && i-- == 0)
            return &log->facts[f];
    fail_msg("%s: no %s %s", engine, key, place ? place : "");
    return NULL;
}

static void has(const read_log *log, const char *engine, const char *key, double number)
{
    near(fact(log, engine, key, NULL, 0)->number, number, number * 1e-12);
}

static void says(const read_log *log, const char *engine, const char *key, const char *words)
{
    assert_string_equal(fact(log, engine, key, NULL, 0)->text, words);
}

static bool silent(const read_log *log, const char *engine, const char *key)
{
    for (size_t f = 0; f < log->n; f++)
        if (strcmp(log->facts[f].engine, engine) == 0 && strcmp(log->facts[f].key, key) == 0)
            return false;
    return true;
}

static void llama_cpp_says_what_each_buffer_takes(void **state)
{
    read_log log = open_log("llamacpp-llama-3.1-8b.log");

    (void)state;
    near(fact(&log, "llama.cpp", "buffer.model", "CUDA0", 0)->number, 4403.49 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.model", "CUDA0", 0)->slack, 0.005 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.model", "CPU", 0)->number, 281.81 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.kv", "CUDA0", 0)->number, 1024 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.compute", "CUDA0", 0)->number, 560 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.compute", "CUDA_Host", 0)->number,
                        24.01 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.output", "CUDA_Host", 0)->number,
                        2.02 * MIB, 1);
    assert_int_equal(fact(&log, "llama.cpp", "buffer.model", "CUDA0", 0)->line, 17);
}

static void llama_cpp_says_model_device_and_settings(void **state)
{
    read_log log = open_log("llamacpp-llama-3.1-8b.log");

    (void)state;
    says(&log, "llama.cpp", "name", "Meta Llama 3.1 8B Instruct");
    says(&log, "llama.cpp", "precision", "Q4_K - Medium");
    says(&log, "llama.cpp", "device", "NVIDIA GeForce RTX 4090");
    assert_string_equal(fact(&log, "llama.cpp", "device", "CUDA0", 0)->text, "NVIDIA GeForce RTX 4090");
    near(fact(&log, "llama.cpp", "free", "CUDA0", 0)->number, 23818 * MIB, 1);
    has(&log, "llama.cpp", "n_layer", 32);
    has(&log, "llama.cpp", "n_embd", 4096);
    has(&log, "llama.cpp", "n_vocab", 128256);
    has(&log, "llama.cpp", "offloaded", 33);
    has(&log, "llama.cpp", "layers", 33);
    has(&log, "llama.cpp", "n_seq_max", 4);
    has(&log, "llama.cpp", "n_ctx", 8192);
    has(&log, "llama.cpp", "n_ctx_seq", 2048);
    has(&log, "llama.cpp", "n_batch", 2048);
    has(&log, "llama.cpp", "n_ubatch", 512);
    has(&log, "llama.cpp", "flash", 0);
    says(&log, "llama.cpp", "type_k", "f16");
    assert_true(silent(&log, "vllm", "model"));
    assert_true(silent(&log, "vllm", "weights"));
}

static void two_caches_of_a_model_with_windows_are_two_facts(void **state)
{
    read_log log = open_log("llamacpp-gpt-oss-20b.log");

    (void)state;
    near(fact(&log, "llama.cpp", "buffer.kv", "Metal", 0)->number, 3072 * MIB, 1);
    near(fact(&log, "llama.cpp", "buffer.kv", "Metal", 1)->number, 54 * MIB, 1);
    near(fact(&log, "llama.cpp", "cells", NULL, 0)->number, 131072, 0);
    near(fact(&log, "llama.cpp", "cells", NULL, 1)->number, 2304, 0);
    has(&log, "llama.cpp", "unified", 0);
    assert_true(silent(&log, "llama.cpp", "flash"));        /* "auto" is neither */
    says(&log, "llama.cpp", "name", "Gpt Oss 20b");
}

static void vllm_says_its_budget_in_one_line(void **state)
{
    read_log log = open_log("vllm-llava-7b.log");

    (void)state;
    near(fact(&log, "vllm", "weights", NULL, 0)->number, 14.0786 * GIB, 2);
    near(fact(&log, "vllm", "weights", NULL, 0)->slack, 0.00005 * GIB, 1);
    near(fact(&log, "vllm", "weights", NULL, 1)->number, 14.08 * GIB, 2);
    near(fact(&log, "vllm", "kv", NULL, 1)->number, 59212694937.0, 0);
    near(fact(&log, "vllm", "kv", NULL, 1)->slack, 0, 0);
    near(fact(&log, "vllm", "activations", NULL, 0)->number, 1.97 * GIB, 2);
    near(fact(&log, "vllm", "non_torch", NULL, 0)->number, 0.07 * GIB, 2);
    near(fact(&log, "vllm", "graphs", NULL, 0)->number, 0.67 * GIB, 2);
    near(fact(&log, "vllm", "total", NULL, 0)->number, 79.19 * GIB, 2);
    has(&log, "vllm", "gpu_memory_utilization", 0.9);
    near(fact(&log, "vllm", "requested", NULL, 0)->number, 71.27 * GIB, 2);
    has(&log, "vllm", "tokens", 451744);
    has(&log, "vllm", "max_model_len", 4096);
    has(&log, "vllm", "concurrency", 110.29);
}

static void vllm_0_19_and_its_first_engine_say_it_otherwise(void **state)
{
    read_log log = open_log("vllm-gemma-3-27b.log");

    (void)state;
    near(fact(&log, "vllm", "weights", NULL, 0)->number, 51.45 * GIB, 4);
    near(fact(&log, "vllm", "activations", NULL, 0)->number, 3.99 * GIB, 4);
    near(fact(&log, "vllm", "non_torch", NULL, 0)->number, 0.26 * GIB, 4);
    near(fact(&log, "vllm", "graphs_estimate", NULL, 0)->number, 1.05 * GIB, 4);
    has(&log, "vllm", "gpu_memory_utilization", 0.95);
    near(fact(&log, "vllm", "requested", NULL, 0)->number, 75.23 * GIB, 4);
    log = open_log("vllm-qwen2.5-0.5b-v0.log");
    says(&log, "vllm", "model", "Qwen/Qwen2.5-0.5B");
    near(fact(&log, "vllm", "weights", NULL, 0)->number, 0.9276 * GIB, 4);
    near(fact(&log, "vllm", "kv", NULL, 0)->number, 10.63 * GIB, 4);
    has(&log, "vllm", "blocks", 58059);
    has(&log, "vllm", "cpu_blocks", 21845);
    near(fact(&log, "vllm", "total", NULL, 0)->number, 14.56 * GIB, 4);
}

/* 0.51 GiB is what others held before the start. */
static void a_snapshot_before_the_start_is_not_the_profile_run(void **state)
{
    read_log log = open_log("vllm-llama-3.1-8b-debug.log");

    (void)state;
    near(fact(&log, "vllm", "non_torch", NULL, 0)->number, 0.25 * GIB, 4);
    has(&log, "vllm", "max_num_seqs", 1024);
    has(&log, "vllm", "flash_version", 3);
}

static void vllm_dumps_its_arguments(void **state)
{
    read_log log = open_log("vllm-qwen3.6-27b-args.log");
    static const char line[] = "INFO [core.py:75] Initializing a V1 LLM engine (v0.10.2.dev378+g4d7fe40fc) "
        "with config: model='/data/Qwen2.5-0.5B/', dtype=torch.bfloat16, max_seq_len=32768, "
        "tensor_parallel_size=1, pipeline_parallel_size=2, quantization=None, enforce_eager=False, "
        "kv_cache_dtype=auto, enable_prefix_caching=True";

    (void)state;
    says(&log, "vllm", "model", "~/.cache/huggingface/qwen3.6-27b-autoround-int4");
    has(&log, "vllm", "max_model_len", 262144);
    says(&log, "vllm", "quantization", "auto_round");
    says(&log, "vllm", "kv_cache_dtype", "fp8_e5m2");
    has(&log, "vllm", "tensor_parallel_size", 2);
    has(&log, "vllm", "max_num_seqs", 2);
    has(&log, "vllm", "max_num_batched_tokens", 8192);
    has(&log, "vllm", "prefix_caching", 1);
    log = parse(line, sizeof line - 1);
    says(&log, "vllm", "version", "0.10.2.dev378+g4d7fe40fc");
    says(&log, "vllm", "model", "/data/Qwen2.5-0.5B/");
    says(&log, "vllm", "dtype", "torch.bfloat16");
    has(&log, "vllm", "pipeline_parallel_size", 2);
    has(&log, "vllm", "eager", 0);
}

static void a_command_line_is_read_too(void **state)
{
    static const char line[] = "$ vllm serve openai/gpt-oss-20b --tensor-parallel-size 2 "
        "--max-model-len=32768 --gpu-memory-utilization 0.95 --enforce-eager";
    read_log log = parse(line, sizeof line - 1);

    (void)state;
    says(&log, "vllm", "model", "openai/gpt-oss-20b");
    has(&log, "vllm", "tensor_parallel_size", 2);
    has(&log, "vllm", "max_model_len", 32768);
    has(&log, "vllm", "gpu_memory_utilization", 0.95);
}

static void torch_says_what_it_holds(void **state)
{
    read_log log = open_log("torch-a100.log");

    (void)state;
    near(fact(&log, "torch", "asked", NULL, 0)->number, 3.15 * GIB, 2);
    near(fact(&log, "torch", "total", NULL, 0)->number, 39.56 * GIB, 2);
    near(fact(&log, "torch", "free", NULL, 0)->number, 6.80 * GIB, 2);
    near(fact(&log, "torch", "in_use", NULL, 0)->number, 36.61 * GIB, 2);
    near(fact(&log, "torch", "allocated", NULL, 0)->number, 31.66 * GIB, 2);
    near(fact(&log, "torch", "unallocated", NULL, 0)->number, 4.11 * GIB, 2);
    log = open_log("torch-old.log");
    near(fact(&log, "torch", "total", NULL, 0)->number, 39.25 * GIB, 2);
    near(fact(&log, "torch", "allocated", NULL, 0)->number, 1.13 * GIB, 2);
    near(fact(&log, "torch", "free", NULL, 0)->number, 37 * GIB, 2);
    near(fact(&log, "torch", "reserved", NULL, 0)->number, 1.2 * GIB, 2);
}

/* ---- every record of tests/truth/vllm.json: its fields were read off the lines by people ---- */

/* What a field of the records is called here, and how far a figure may be off: rounding of the
 * other place where it is printed. */
static const struct { const char *field, *key; double unit, within; } fields[] = {
    { "weights_gib", "weights", GIB, 0.006 }, { "activation_peak_gib", "activations", GIB, 0.006 },
    { "non_torch_gib", "non_torch", GIB, 0.006 }, { "kv_cache_memory_gib", "kv", GIB, 0.006 },
    { "gpu_blocks", "blocks", 1, 0 }, { "kv_tokens", "tokens", 1, 0 },
    { "max_concurrency", "concurrency", 1, 0 }, { "gpu_total_gib", "total", GIB, 0.011 },
};
#define N_FIELDS (sizeof fields / sizeof *fields)

static bool number_of(const oom_value *v, double *number)
{
    if (!v || (v->kind != OOM_INT && v->kind != OOM_REAL))
        return false;
    *number = v->kind == OOM_INT ? (double)v->u.i : v->u.real;
    return true;
}

static read_log evidence_of(const oom_value *record)
{
    const oom_value *lines = oom_value_get(record, "evidence");
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; lines && i < lines->u.list.n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\n",
                                 lines->u.list.items[i].u.text);
    return parse(text, used);
}

/* A field is met when one fact of its key has its value. */
static bool met(const read_log *log, size_t field, double number, bool *said)
{
    bool found = false;

    *said = false;
    for (size_t i = 0; i < log->n; i++)
        if (strcmp(log->facts[i].engine, "vllm") == 0
            && strcmp(log->facts[i].key, fields[field].key) == 0) {
            double off = log->facts[i].number / fields[field].unit - number;

            *said = true;
            found = found || (off <= fields[field].within + 1e-9 && -off <= fields[field].within + 1e-9);
        }
    return found;
}

static void the_records_fields_are_read_off_their_lines(void **state)
{
    static char json[1 << 20];
    FILE *file = fopen("tests/truth/vllm.json", "rb");
    const oom_value *records = NULL;
    size_t n = file ? fread(json, 1, sizeof json, file) : 0, hits = 0, wrong = 0;

    (void)state;
    assert_non_null(file);
    fclose(file);
    assert_int_equal(read_json(arena, "vllm.json", json, n, &records, NULL), OOM_OK);
    for (size_t i = 0; i < records->u.list.n; i++) {
        const oom_value *record = &records->u.list.items[i], *id = oom_value_get(record, "id");
        read_log log = evidence_of(record);

        for (size_t f = 0; f < N_FIELDS; f++) {
            double number;
            bool said;

            if (!number_of(oom_value_get(record, fields[f].field), &number))
                continue;
            hits += met(&log, f, number, &said);
            if (said && !met(&log, f, number, &said)) {
                print_message("%s: %s is %g\n", id->u.text, fields[f].field, number);
                wrong++;
            }
        }
    }
    print_message("%zu figures of %zu records\n", hits, records->u.list.n);
    assert_int_equal(wrong, 0);
    assert_true(hits >= 316);
}

static void other_text_gives_no_facts(void **state)
{
    static const char prose[] = "It was the best of times,\nit was the worst of times: model\n\n\t-1";
    static const char odd[] =
        "Device x: A, compute capability 8.9\nDevice 1234: A, compute capability 8.9\n"
        "Device 0 A, compute capability 8.9\nusing device CUDA0\nusing device  (A) - 1 MiB free\n"
        "using device a-name-of-more-than-two-and-thirty (A) - 1 MiB free\n"
        " buffer size = 1.00 MiB\nmodel buffer size = 1.00 MiB\nCUDA0 buffer size = 1.00 MiB\n";

    (void)state;
    assert_int_equal(parse(odd, sizeof odd - 1).n, 0);
    assert_int_equal(parse(prose, sizeof prose - 1).n, 0);
    assert_int_equal(parse("", 0).n, 0);
    assert_int_equal(parse(NULL, 0).lines, 0);
}

/* In a buffer of its own length, so that a checker sees a byte too many. */
static void a_log_cut_anywhere_is_read_as_far_as_it_goes(void **state)
{
    static const char *const names[] = { "llamacpp-llama-3.1-8b.log", "vllm-llava-7b.log",
                                         "vllm-qwen3.6-27b-args.log", "torch-old.log" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n;

        open_log(names[i]);
        n = strlen(text);
        for (size_t cut = 0; cut <= n; cut++) {
            char *copy = malloc(cut ? cut : 1);
            oom_arena *own = oom_arena_new(&oom_libc_alloc, NULL);
            read_log log;

            assert_non_null(copy);
            memcpy(copy, text, cut);
            assert_int_equal(read_engine_log(own, copy, cut, &log, NULL), OOM_OK);
            free(copy);
            oom_arena_free(own);
        }
    }
}

static void figures_too_large_or_too_long_are_left_out(void **state)
{
    static const char huge[] = "Model loading took 99999999999999999999999 GiB memory\n"
                               "GPU KV cache size: 1,2,3 tokens\nModel loading took x\n"
                               "GPU KV cache size: -";
    size_t n = 3 << 20;
    char *line = malloc(n);
    read_log log = parse(huge, sizeof huge - 1);

    (void)state;
    assert_non_null(line);
    assert_true(silent(&log, "vllm", "weights"));
    memset(line, 'a', n);
    memcpy(line, "Model loading took 1.5 GiB ", 27);
    log = parse(line, n);
    assert_int_equal(log.n, 1);
    memset(line, '=', n);
    assert_int_equal(parse(line, n).n, 0);
    free(line);
}

static void a_log_that_repeats_itself_is_cut(void **state)
{
    static const char line[] = "Available KV cache memory: 1.5 GiB\n";
    size_t each = sizeof line - 1, n = 5000 * each;
    char *many = malloc(n);
    read_log log;

    (void)state;
    assert_non_null(many);
    for (size_t i = 0; i < n; i += each)
        memcpy(many + i, line, each);
    log = parse(many, n);
    assert_int_equal(log.n, READ_MOST_FACTS);
    assert_true(log.cut);
    free(many);
}

static oom_status parse_with(const oom_alloc *a, void *ctx)
{
    oom_arena *own = oom_arena_new(a, NULL);
    oom_error err = { OOM_OK, "" };
    read_log log;
    oom_status status;

    if (!own)
        return OOM_NOMEM;
    status = read_engine_log(own, ctx, strlen(ctx), &log, &err);
    oom_arena_free(own);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    size_t n;

    (void)state;
    open_log("llamacpp-llama-3.1-8b.log");
    n = strlen(text);
    while (n < 40000) {                     /* more than one block of an arena */
        size_t more = n < sizeof text - n - 1 ? n : sizeof text - n - 1;

        memcpy(text + n, text, more);
        n += more;
    }
    text[n] = '\0';
    assert_true(fail_each_allocation(parse_with, text) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(llama_cpp_says_what_each_buffer_takes, begin, end),
        cmocka_unit_test_setup_teardown(llama_cpp_says_model_device_and_settings, begin, end),
        cmocka_unit_test_setup_teardown(two_caches_of_a_model_with_windows_are_two_facts, begin, end),
        cmocka_unit_test_setup_teardown(vllm_says_its_budget_in_one_line, begin, end),
        cmocka_unit_test_setup_teardown(vllm_0_19_and_its_first_engine_say_it_otherwise, begin, end),
        cmocka_unit_test_setup_teardown(a_snapshot_before_the_start_is_not_the_profile_run, begin,
                                        end),
        cmocka_unit_test_setup_teardown(vllm_dumps_its_arguments, begin, end),
        cmocka_unit_test_setup_teardown(a_command_line_is_read_too, begin, end),
        cmocka_unit_test_setup_teardown(torch_says_what_it_holds, begin, end),
        cmocka_unit_test_setup_teardown(the_records_fields_are_read_off_their_lines, begin, end),
        cmocka_unit_test_setup_teardown(other_text_gives_no_facts, begin, end),
        cmocka_unit_test_setup_teardown(a_log_cut_anywhere_is_read_as_far_as_it_goes, begin, end),
        cmocka_unit_test_setup_teardown(figures_too_large_or_too_long_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(a_log_that_repeats_itself_is_cut, begin, end),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
