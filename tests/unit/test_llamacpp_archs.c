/* Compute buffers of a GPU that llama.cpp's own accounting gave (0.5.0-dev, no data) for headers
 * written from the presets, in fp16: architectures that the measured starts do not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scene.h"

/* last: one row of logits a sequence; layers: -1 all of them */
static const struct {
    const char *model;
    uint64_t context, step, sequences;
    int last, flash;
    const char *k, *v;
    int32_t layers;
    uint64_t compute;
} starts[] = {
    { "bloom-560m", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 515899392 },
    { "bloom-560m", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 88100992 },
    { "bloom-560m", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 258998272 },
    { "bloom-560m", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 33554432 },
    { "chatglm3-6b", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 141557760 },
    { "chatglm3-6b", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 174135424 },
    { "chatglm3-6b", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 70778880 },
    { "chatglm3-6b", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 303583232 },
    { "falcon-h1-0.5b", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 71335936 },
    { "falcon-h1-0.5b", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 43538688 },
    { "falcon-h1-0.5b", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 35667968 },
    { "glm-4-9b", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 318767104 },
    { "glm-4-9b", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 164698240 },
    { "glm-4-9b", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 159383552 },
    { "glm-4-9b", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 347621376 },
    { "gpt2", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 106072064 },
    { "gpt2", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 67129472 },
    { "gpt2", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 53036032 },
    { "gpt2", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 26083328 },
    { "mpt-7b", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 111673344 },
    { "mpt-7b", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 205590656 },
    { "mpt-7b", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 97604608 },
    { "mpt-7b", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 211812352 },
    { "pythia-1b", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 107216896 },
    { "pythia-1b", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 71571584 },
    { "pythia-1b", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 53608448 },
    { "pythia-1b", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 65038336 },
    { "qwen-7b", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 319553536 },
    { "qwen-7b", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 205592704 },
    { "qwen-7b", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 163971072 },
    { "qwen-7b", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 198756352 },
    { "starcoder", 8192, 512, 4, 0, 1, "fp16", "fp16", -1, 125829120 },
    { "starcoder", 2048, 512, 1, 1, 0, "q8_0", "fp16", -1, 256970880 },
    { "starcoder", 4096, 256, 2, 0, 1, "q8_0", "q8_0", -1, 62914560 },
    { "starcoder", 4096, 512, 2, 2, 1, "fp16", "fp16", 7, 419430400 },
};

static void starts_of_other_architectures_are_counted_as_the_engine_counts_them(void **state)
{
    scene *s = scene_new();
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        oom_options o = { .gpu_layers = starts[i].layers, .chunk = starts[i].step,
                          .attention = starts[i].flash ? OOM_ATTENTION_FLASH : OOM_ATTENTION_EAGER,
                          .outputs = starts[i].last ? OOM_OUTPUTS_LAST : OOM_OUTPUTS_ALL,
                          .kv_k = oom_format_find(starts[i].k),
                          .kv_v = oom_format_find(starts[i].v) };
        oom_load load = { starts[i].sequences, starts[i].context / starts[i].sequences, 0 };
        oom_model *m = scene_model(s, starts[i].model);
        oom_plan *p = scene_plan(s, m, "gguf:f16", "h200", "llama.cpp", &o);
        oom_memory out;

        assert_int_equal(oom_plan_memory(p, &load, &out, NULL, NULL), OOM_OK);
        if (out.device.activations != starts[i].compute) {
            print_error("%s, %llu cells: %llu, the engine %llu\n", starts[i].model,
                        (unsigned long long)starts[i].context,
                        (unsigned long long)out.device.activations,
                        (unsigned long long)starts[i].compute);
            wrong++;
        }
        free(p);
        oom_model_free(m);
    }
    assert_int_equal(wrong, 0);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_of_other_architectures_are_counted_as_the_engine_counts_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
