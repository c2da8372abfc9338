#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../accuracy/transformers.h"

static scene *s;

static int setup(void **state) { (void)state; s = scene_new(); return 0; }
static int teardown(void **state) { (void)state; scene_free(s); return 0; }

static void measured_peaks_agree_as_well_as_they_did(void **state)
{
    report *r = report_new();

    (void)state;
    accuracy_transformers(s, r);
    assert_int_equal(report_check(r, transformers_bounds,
                                  sizeof transformers_bounds / sizeof *transformers_bounds), 0);
    report_free(r);
}

static oom_parts parts(const char *model, const oom_options *o, uint64_t batch, uint64_t seq,
                       uint64_t prompt)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, "bf16", NULL, "transformers", o);
    oom_load load = { batch, seq, prompt };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &load, &x, NULL, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return x.device;
}

static void the_whole_prompt_is_one_step(void **state)
{
    (void)state;
    /* 2 x 4096 x (3 x 14336 + 4 x 4096) bytes, twice as much for two prompts */
    assert_int_equal(parts("llama-3.1-8b", NULL, 1, 4096, 0).activations, 486539264);
    assert_int_equal(parts("llama-3.1-8b", NULL, 2, 4096, 0).activations, 2 * 486539264);
}

static void old_versions_computed_logits_of_the_whole_prompt(void **state)
{
    oom_options old = { .gpu_layers = -1, .version = 4044 }, last = old;
    oom_options now = { .gpu_layers = -1, .version = 4045 };

    (void)state;
    last.outputs = OOM_OUTPUTS_LAST;
    /* 6 bytes x 4096 x 128256, and the hidden states they come from */
    assert_int_equal(parts("llama-3.1-8b", &old, 1, 4096, 0).activations,
                     UINT64_C(6) * 4096 * 128256 + 2 * 4096 * 4096);
    assert_int_equal(parts("llama-3.1-8b", &now, 1, 4096, 0).activations, 486539264);
    assert_int_equal(parts("llama-3.1-8b", &last, 1, 4096, 0).activations, 486539264);
}

static void eager_attention_grows_with_the_square(void **state)
{
    oom_options eager = { .gpu_layers = -1, .attention = OOM_ATTENTION_EAGER };

    (void)state;
    assert_int_equal(parts("llama-3.1-8b", &eager, 1, 4096, 0).activations,
                     486539264 + UINT64_C(6) * 32 * 4096 * 4096);
}

static void shared_heads_are_repeated_for_attention_other_than_flash(void **state)
{
    oom_options old = { .gpu_layers = -1, .version = 4051, .attention = OOM_ATTENTION_SDPA };
    oom_options now = { .gpu_layers = -1, .version = 4054, .attention = OOM_ATTENTION_SDPA };
    oom_options flash = { .gpu_layers = -1, .version = 4051 };

    (void)state;
    /* at the end of a long answer: 2 x 32 heads x 128 x 2 bytes x 32768 tokens, 0.5 GiB */
    assert_int_equal(parts("qwen3-8b", &old, 1, 32768, 1).activations, UINT64_C(536870912));
    assert_int_equal(parts("qwen3-8b", &now, 1, 32768, 1).activations,
                     parts("qwen3-8b", &flash, 1, 32768, 1).activations);
    assert_true(parts("qwen3-8b", &flash, 1, 32768, 1).activations < 2000000);
    /* every head has its own: nothing to repeat */
    assert_int_equal(parts("llama-2-7b", &old, 1, 32768, 1).activations,
                     parts("llama-2-7b", &flash, 1, 32768, 1).activations);
}

static void a_long_answer_outgrows_the_prompt_s_peak(void **state)
{
    oom_parts x = parts("llama-3.1-8b", NULL, 1, 8192, 64);

    (void)state;
    /* what remains is one token: its logits, 6 x 128256, and its hidden state */
    assert_int_equal(x.activations, 6 * 128256 + 2 * 4096);
    assert_int_equal(x.kv, UINT64_C(131072) * 8192);
}

static void the_cache_was_copied_at_every_step_until_4_42(void **state)
{
    oom_options old = { .gpu_layers = -1, .version = 4035 };
    oom_parts x = parts("llama-2-13b", &old, 32, 768, 256);

    (void)state;
    /* measured with 4.35: 61.96 GiB allocated, 18.75 GiB of them the second copy */
    assert_true(x.activations >= x.kv);
}

static void what_the_prompt_returned_lived_through_the_first_copy(void **state)
{
    oom_options old = { .gpu_layers = -1, .version = 4038 };
    uint64_t cache = UINT64_C(40) * 2 * 2560 * 2 * 30720;
    oom_parts x = parts("qwen1.5-4b", &old, 1, 30720 + 2048, 30720);

    (void)state;
    /* The first token after 30,720 of Qwen1.5-4B: the old cache, the prompt's logits in fp32, one
     * token's logits and hidden state; 2048 tokens of the full cache do not exist yet. */
    assert_int_equal(x.activations, cache + UINT64_C(4) * 30720 * 151936 + 6 * 151936 + 2 * 2560
                                    - cache / 30720 * 2048);
    /* one token is the prompt's own work: nothing is copied */
    x = parts("qwen1.5-4b", &old, 1, 30720 + 1, 30720);
    assert_int_equal(x.activations, UINT64_C(6) * 30720 * 151936 + 2 * 30720 * 2560
                                    - cache / 30720);
}

static uint64_t gptq_weights(uint32_t version)
{
    oom_options o = { .gpu_layers = -1, .version = version };
    oom_model *m = scene_model(s, "qwen2.5-7b");
    oom_plan *p = scene_plan(s, m, "gptq-4bit-128g", NULL, "transformers", &o);
    oom_load load = { 1, 1, 0 };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &load, &x, NULL, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return x.device.weights;
}

static void exllama_kept_a_matrix_at_16_bits(void **state)
{
    (void)state;
    assert_int_equal(gptq_weights(4047) - gptq_weights(4048), UINT64_C(18944) * 3584 * 2);
}

static void logits_come_back_to_the_first_device(void **state)
{
    oom_options o = { .gpu_layers = -1, .pp = 2, .outputs = OOM_OUTPUTS_ALL };
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_plan *p = scene_plan(s, m, "bf16", NULL, "transformers", &o);
    oom_load load = { 1, 4096, 4096 };
    oom_parts x;
    uint64_t available;

    (void)state;
    assert_int_equal(oom_plan_rank(p, &load, 0, &x, &available, NULL), OOM_OK);
    assert_int_equal(x.activations, UINT64_C(4) * 4096 * 128256);
    free(p);
    oom_model_free(m);
}

static void windows_were_kept_whole_before_4_56(void **state)
{
    oom_options old = { .gpu_layers = -1, .version = 4046 };

    (void)state;
    /* Mistral 7B v0.1: 32 layers of 8 x 128, window 4096 */
    assert_int_equal(parts("mistral-7b-v0.1", &old, 1, 8192, 0).kv, UINT64_C(131072) * 8192);
    assert_int_equal(parts("mistral-7b-v0.1", NULL, 1, 8192, 0).kv, UINT64_C(131072) * 4096);
}

/* A checkpoint as it is stored, with an empty tensor or without (packed ones have such an order of
 * their groups). */
static uint64_t weights_of_a_file(const char *engine, bool with_empty)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    const oom_tensor empty = { .role = OOM_ROLE_ATTN_Q, .n_dims = 2, .dims = { 0, 4096 } };
    oom_memory x;
    oom_plan *p;

    m->from_file = true;
    for (size_t i = 0; i < m->n_tensors; i++)
        m->tensors[i].stored_bytes = 2 * m->tensors[i].params;
    if (with_empty)
        assert_int_equal(oom_model_add_tensor(m, &empty, NULL), OOM_OK);
    p = scene_plan(s, m, "stored", NULL, engine, NULL);
    assert_int_equal(oom_plan_memory(p, &(oom_load){ 1, 1, 0 }, &x, NULL, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return x.device.weights;
}

static void an_empty_tensor_takes_nothing(void **state)
{
    (void)state;
    assert_int_equal(weights_of_a_file("transformers", true),
                     weights_of_a_file("transformers", false));
    assert_int_equal(weights_of_a_file("vllm", true), weights_of_a_file("vllm", false));
    assert_true(weights_of_a_file("transformers", false) >= 16060522496);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_peaks_agree_as_well_as_they_did),
        cmocka_unit_test(the_whole_prompt_is_one_step),
        cmocka_unit_test(old_versions_computed_logits_of_the_whole_prompt),
        cmocka_unit_test(eager_attention_grows_with_the_square),
        cmocka_unit_test(shared_heads_are_repeated_for_attention_other_than_flash),
        cmocka_unit_test(a_long_answer_outgrows_the_prompt_s_peak),
        cmocka_unit_test(the_cache_was_copied_at_every_step_until_4_42),
        cmocka_unit_test(what_the_prompt_returned_lived_through_the_first_copy),
        cmocka_unit_test(exllama_kept_a_matrix_at_16_bits),
        cmocka_unit_test(logits_come_back_to_the_first_device),
        cmocka_unit_test(windows_were_kept_whole_before_4_56),
        cmocka_unit_test(an_empty_tensor_takes_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
