/* bench_llamacpp.c: what a point of a sweep, a plan and a largest batch cost under llama.cpp,
 * whose compute buffers are an allocator's walk. Every run begins without notes, so that all
 * contexts are new to it. CPU time; the least of several runs is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <stdio.h>
#include <stdlib.h>

#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), exit(1))
#include "../unit/scene.h"

enum { BATCHES = 64, SEQS = 512, FEW = 16, RUNS = 3, MORE_RUNS = 20 };

static uint64_t batches[BATCHES], seqs[SEQS], few_seqs[FEW];

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void say(const char *model, const char *what, double x, const char *target)
{
    char text[160];

    snprintf(text, sizeof text, "llama.cpp, %s: %s", model, what);
    printf("%-58s %14.1f   target %s\n", text, x, target);
}

/* Nanoseconds a point of a grid of these precisions, plans included, counted by one thread. */
static double sweep_ns(const char *engine, oom_model *m, const oom_deployment *where,
                       size_t n_precisions, bool few)
{
    static const char *const names[]
        = { "q4_k_m", "q8_0", "q5_k_m", "q6_k", "q4_k_s", "q3_k_m", "iq4_xs", "fp16", "q5_k_s",
            "q4_0", "q2_k", "bf16" };
    oom_precision precisions[16];
    oom_variant variant = { .engine = oom_engine_find(engine), .options = { .gpu_layers = -1 } };
    oom_grid g = { &m, 1, precisions, n_precisions, &variant, 1, &where, 1,
                   few ? few_seqs : seqs, few ? FEW : SEQS, batches, few ? FEW : BATCHES };
    oom_query q = { .count_only = true, .group = OOM_AXES, .threads = 1 };
    double least = 1e18;

    for (size_t i = 0; i < n_precisions; i++)
        if (oom_precision_parse(names[i], &precisions[i], NULL) != OOM_OK)
            exit(1);
    for (int i = 0; i < (few ? MORE_RUNS : RUNS); i++) {
        double begun = now_us(), each;
        oom_rows rows;

        if (oom_grid_run(&g, &q, &oom_libc_alloc, &rows, NULL) != OOM_OK)
            exit(1);
        each = (now_us() - begun) * 1e3 / (double)rows.points;
        least = each < least ? each : least;
        oom_rows_free(&rows);
    }
    return least;
}

static double least_of(double a, double b) { return a < b ? a : b; }

static void one_plan(const char *name, oom_model *m, const oom_deployment *where)
{
    oom_plan *p = malloc(oom_plan_bytes());
    oom_options options = { .gpu_layers = -1 };
    oom_precision precision;
    oom_memory memory;
    double make = 1e18, first = 1e18, again = 1e18, point = 1e18;
    uint64_t n = 0;

    if (!p || oom_precision_parse("q4_k_m", &precision, NULL) != OOM_OK)
        exit(1);
    for (int i = 0; i < 2 * MORE_RUNS; i++) {
        double t[5] = { now_us() };

        if (oom_plan_make(p, m, &precision, where, oom_engine_find("llama.cpp"), &options, NULL))
            exit(1);
        t[1] = now_us();
        for (int k = 2; k < 4; k++) {
            if (oom_solve_batch(p, 8192, 0, &n, NULL) != OOM_OK)
                exit(1);
            t[k] = now_us();
        }
        for (uint64_t k = 0; k < 100; k++)
            if (oom_plan_memory(p, &(oom_load){ 1 + k % 4, 8192, 0 }, &memory, NULL, NULL))
                exit(1);
        t[4] = now_us();
        make = least_of(make, t[1] - t[0]);
        first = least_of(first, t[2] - t[1]);
        again = least_of(again, t[3] - t[2]);
        point = least_of(point, (t[4] - t[3]) / 100);
    }
    say(name, "a plan without notes, us", make, "none");
    say(name, "maxbatch of a new plan, us", first, "none");
    say(name, "maxbatch again, us", again, "<= 5");
    say(name, "a memory{} in C, us", point, "<= 3");
    free(p);
}

static void one_model(scene *s, const char *name, const char *kind)
{
    oom_model *m = scene_model(s, name);
    oom_deployment where;
    char text[64];

    if (read_deployment(s->catalogue, "h100-sxm", &where, NULL) != OOM_OK)
        exit(1);
    snprintf(text, sizeof text, "%s, %s", name, kind);
    one_plan(name, m, &where);
    say(text, "16 x 16 points, us", sweep_ns("llama.cpp", m, &where, 1, true) * FEW * FEW / 1e3,
        "none");
    say(text, "the same under generic, us",
        sweep_ns("generic", m, &where, 1, true) * FEW * FEW / 1e3, "none");
    for (size_t n = 1; n <= 12; n += 11) {
        char what[64];

        snprintf(what, sizeof what, "a point, %zu x 32768, ns", n);
        say(text, what, sweep_ns("llama.cpp", m, &where, n, false), "<= 50");
    }
    oom_model_free(m);
}

int main(void)
{
    scene *s = scene_new();

    for (size_t i = 0; i < BATCHES; i++)
        batches[i] = i + 1;
    for (size_t i = 0; i < SEQS; i++)
        seqs[i] = 256 * (i + 1);
    for (size_t i = 0; i < FEW; i++)
        few_seqs[i] = i < 9 ? (uint64_t)512 << i : 3000 * (i - 8);
    one_model(s, "llama-3.1-8b", "dense");
    one_model(s, "qwen3-30b-a3b", "MoE");
    one_model(s, "gemma-3-27b", "window");
    one_model(s, "deepseek-v2-lite", "MLA");
    one_model(s, "mamba-2.8b", "recurrent");
    one_model(s, "qwen3-next-80b-a3b", "hybrid");
    one_model(s, "granite-4.0-h-small", "hybrid");
    scene_free(s);
    return 0;
}
