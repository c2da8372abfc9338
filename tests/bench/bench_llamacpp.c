/* bench_llamacpp.c: what a point of a sweep, a plan and a largest batch cost under llama.cpp,
 * whose compute buffers are an allocator's walk. The least of several runs is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <stdio.h>
#include <stdlib.h>

#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), exit(1))
#include "../unit/scene.h"

enum { BATCHES = 64, SEQS = 512, RUNS = 3 };

static uint64_t batches[BATCHES], seqs[SEQS];

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void say(const char *model, const char *what, double x, const char *target)
{
    char text[80];

    snprintf(text, sizeof text, "llama.cpp, %s: %s", model, what);
    printf("%-58s %14.1f   target %s\n", text, x, target);
}

/* Nanoseconds a point of a grid of these precisions, counted by one thread. */
static double sweep_ns(oom_model *m, const oom_deployment *where, const char *const *names,
                       size_t n_precisions)
{
    oom_precision precisions[16];
    oom_variant variant = { .engine = oom_engine_find("llama.cpp"), .options = { .gpu_layers = -1 } };
    oom_grid g = { &m, 1, precisions, n_precisions, &variant, 1, &where, 1, seqs, SEQS, batches,
                   BATCHES };
    oom_query q = { .count_only = true, .group = OOM_AXES, .threads = 1 };
    double least = 1e18;

    for (size_t i = 0; i < n_precisions; i++)
        if (oom_precision_parse(names[i], &precisions[i], NULL) != OOM_OK)
            exit(1);
    for (int i = 0; i < RUNS; i++) {
        double begun = now_us();
        oom_rows rows;

        if (oom_grid_run(&g, &q, &oom_libc_alloc, &rows, NULL) != OOM_OK)
            exit(1);
        least = (now_us() - begun) * 1e3 / (double)rows.points < least
              ? (now_us() - begun) * 1e3 / (double)rows.points : least;
        oom_rows_free(&rows);
    }
    return least;
}

static void one_model(scene *s, const char *name)
{
    static const char *const precisions[]
        = { "q4_k_m", "q8_0", "q5_k_m", "q6_k", "q4_k_s", "q3_k_m", "iq4_xs", "fp16", "q5_k_s",
            "q4_0", "q2_k", "bf16" };
    oom_model *m = scene_model(s, name);
    oom_plan *p = NULL;
    oom_deployment where;
    double make = 1e18, solve = 1e18, replay = 1e18;
    uint64_t n = 0;

    if (read_deployment(s->catalogue, "h100-sxm", &where, NULL) != OOM_OK)
        exit(1);
    for (int i = 0; i < 40; i++) {
        double begun = now_us();

        free(p);
        p = scene_plan(s, m, "q4_k_m", "h100-sxm", "llama.cpp", NULL);
        make = now_us() - begun < make ? now_us() - begun : make;
        begun = now_us();
        if (oom_solve_batch(p, 8192, 0, &n, NULL) != OOM_OK)
            exit(1);
        replay = now_us() - begun < replay ? now_us() - begun : replay;
        begun = now_us();
        if (oom_solve_batch(p, 8192, 0, &n, NULL) != OOM_OK)
            exit(1);
        solve = now_us() - begun < solve ? now_us() - begun : solve;
    }
    say(name, "a plan, us", make, "none");
    say(name, "maxbatch of a new plan, us", replay, "none");
    say(name, "maxbatch again, us", solve, "<= 5");
    say(name, "a point, 1 precision x 32768, ns", sweep_ns(m, &where, precisions, 1), "none");
    say(name, "a point, 12 precisions x 32768, ns", sweep_ns(m, &where, precisions, 12), "<= 50");
    free(p);
    oom_model_free(m);
}

int main(void)
{
    scene *s = scene_new();

    for (size_t i = 0; i < BATCHES; i++)
        batches[i] = i + 1;
    for (size_t i = 0; i < SEQS; i++)
        seqs[i] = 256 * (i + 1);
    one_model(s, "llama-3.1-8b");
    one_model(s, "gemma-3-27b");
    one_model(s, "qwen3-30b-a3b");
    scene_free(s);
    return 0;
}
