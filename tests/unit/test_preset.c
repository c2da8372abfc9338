#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "failing.h"
#include "folder.h"
#include "local.h"

#define MIB ((uint64_t)1 << 20)

static folder files;
static read_catalogue *c;

static int setup(void **state)
{
    read_source source = { folder_file, &files };

    (void)state;
    c = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    return c ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    read_catalogue_free(c);
    free(files.text);
    files.text = NULL;
    return 0;
}

static const char *model_id(const char *name)
{
    static oom_error err;
    const read_preset *p = read_model_preset(c, name, &err);

    return p ? p->id : err.msg;
}

static oom_deployment deployment(const char *spec)
{
    oom_deployment d = { 0 };
    oom_error err = { 0 };

    if (read_deployment(c, spec, &d, &err) != OOM_OK)
        fail_msg("%s: %s", spec, err.msg);
    return d;
}

static oom_device first_device(const char *spec)
{
    oom_deployment d = deployment(spec);

    return d.group[0].device;
}

static void says(const char *spec, const char *message)
{
    oom_deployment d = { .n = 77 };
    oom_error err = { 0 };

    assert_int_not_equal(read_deployment(c, spec, &d, &err), OOM_OK);
    assert_string_equal(err.msg, message);
    assert_int_equal(d.n, 77);
}

static void models_are_listed_by_id(void **state)
{
    const read_preset *list;
    size_t n;

    (void)state;
    n = read_models(c, &list, NULL);
    assert_true(n >= 303);
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(list[i - 1].id, list[i].id) < 0);
    assert_true(read_devices(c, &list, NULL) >= 274);
}

static void a_model_answers_to_every_name_people_use(void **state)
{
    (void)state;
    assert_string_equal(model_id("llama-3.1-8b"), "llama-3.1-8b");
    assert_string_equal(model_id("Llama 3.1 8B"), "llama-3.1-8b");
    assert_string_equal(model_id("llama3.1:8b"), "llama-3.1-8b");
    assert_string_equal(model_id("meta-llama/Llama-3.1-8B-Instruct"), "llama-3.1-8b");
    assert_string_equal(model_id("unsloth/Llama-3.1-8B-Instruct"), "llama-3.1-8b");
    assert_string_equal(model_id("mixtral-8x7b"), "mixtral-8x7b");
}

static void an_unknown_model_gets_the_nearest_names(void **state)
{
    (void)state;
    assert_memory_equal(model_id("lama-3.1-8b"),
                        "no model \"lama-3.1-8b\"; did you mean \"llama-3.1-8b\"", 51);
    assert_memory_equal(model_id("someone/lama-3.1-8b"),
                        "no model \"someone/lama-3.1-8b\"; did you mean \"llama-3.1-8b\"", 59);
    assert_string_equal(model_id("qqqqqqqqqqqqq"), "no model \"qqqqqqqqqqqqq\"; models() lists them");
    assert_string_equal(model_id(""), "no model \"\"; models() lists them");
}

/* 24564 MiB and 23.52 GiB are what nvidia-smi and torch print for an RTX 4090. */
static void a_device_has_three_sizes(void **state)
{
    oom_deployment d = deployment("4090");

    (void)state;
    assert_int_equal(d.n, 1);
    assert_string_equal(d.group[0].device.id, "rtx-4090");
    assert_int_equal(d.group[0].device.memory_bytes, 24564 * MIB);
    assert_int_equal(d.group[0].device.usable_bytes, 25254407700);      /* 23.52 x 2^30 */
    assert_true(d.group[0].device.usable_known);
    assert_int_equal(d.group[0].device.context_bytes, 426 * MIB);
    assert_true(d.group[0].device.bandwidth_bytes_per_s == 1008e9);
    assert_int_equal(d.group[0].device.kind, OOM_DEVICE_GPU);
}

static void what_a_record_leaves_out_follows_the_rules(void **state)
{
    oom_device d;

    (void)state;
    /* 3080 10 GB: no torch figure seen; 0.4 GiB reserve for 8 to 12 GB cards */
    d = first_device("rtx-3080-10gb");
    assert_int_equal(d.memory_bytes, 10240 * MIB);
    assert_int_equal(d.usable_bytes, 10240 * MIB - (1ull << 30) * 4 / 10);
    assert_false(d.usable_known);
    /* M3 Max 36 GB: Metal prints 30150.67 MB, which are 28753 MiB */
    d = first_device("m3 max 36gb");
    assert_int_equal(d.kind, OOM_DEVICE_UNIFIED);
    assert_int_equal(d.memory_bytes, 36864 * MIB);
    assert_int_equal(d.usable_bytes, 28753 * MIB);
    /* label only, AMD: 16 MiB less */
    d = first_device("rx-6700-xt");
    assert_int_equal(d.memory_bytes, 12288 * MIB);
    assert_int_equal(d.usable_bytes, 12272 * MIB);
    /* two dies, 65520 MiB each */
    d = first_device("mi250");
    assert_int_equal(d.dies, 2);
    assert_int_equal(d.memory_bytes, 131040 * MIB);
}

static void several_devices_are_one_deployment(void **state)
{
    oom_deployment d;

    (void)state;
    d = deployment("2x h100-sxm");
    assert_int_equal(d.n, 2);
    assert_int_equal(d.n_groups, 1);
    assert_int_equal(d.group[0].count, 2);
    d = deployment(" 1x rtx-4090 + 1 x rtx-3090 ");
    assert_int_equal(d.n, 2);
    assert_int_equal(d.n_groups, 2);
    assert_string_equal(d.group[1].device.id, "rtx-3090");
    d = deployment("4090+4090+3090");
    assert_int_equal(d.n, 3);
    assert_int_equal(d.group[0].count, 2);
    assert_int_equal(deployment("8\xc3\x97h100-sxm").n, 8);
    assert_int_equal(deployment("2x 24GiB").group[0].device.memory_bytes, 24ull << 30);
    assert_int_equal(deployment("2X l4\t").n, 2);
    assert_int_equal(deployment("2* l4").n, 2);
    assert_int_equal(deployment("1.5e10").group[0].device.memory_bytes, 15000000000);
    assert_int_equal(deployment("1E10").group[0].device.memory_bytes, 10000000000);
    assert_int_equal(deployment("AMD Ryzen AI Max+ 395 (Radeon 8060S) 128GB").n, 1);
    says("Nobody's Max+ 395", "no device \"Nobody's Max\"; devices() lists them");
}

static void devices_keep_the_order_they_are_written_in(void **state)
{
    oom_deployment d = deployment("rtx-4090 + rtx-3090 + 2x rtx-4090 + rtx-4090");

    (void)state;
    assert_int_equal(d.n, 5);
    assert_int_equal(d.n_groups, 3);
    assert_string_equal(d.group[1].device.id, "rtx-3090");
    assert_int_equal(d.group[2].count, 3);
    /* one of the two keeps 8 % back: they are not the same */
    d = deployment("rtx-4090 + rtx-4090 windows");
    assert_int_equal(d.n_groups, 2);
    assert_true(d.group[1].device.usable_bytes < d.group[0].device.usable_bytes);
    says("l4 + t4 + l4 + t4 + l4 + t4 + l4 + t4 + l4", "expected at most 8 runs of equal devices");
}

static void a_device_answers_to_every_name_people_use(void **state)
{
    static const struct { const char *name, *id; } names[] = {
        { "GeForce RTX 4090", "rtx-4090" }, { "nvidia 4090", "rtx-4090" },
        { "Radeon RX 7900 XTX", "rx-7900-xtx" }, { "7900xtx", "rx-7900-xtx" },
        { "rtx 4090 24gb", "rtx-4090" }, { "NVIDIA A100-SXM4-80GB", "a100-sxm-80gb" },
        { "h100", "h100-sxm" }, { "apple m3 max 36gb", "m3-max-36gb" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(deployment(names[i].name).group[0].device.id, names[i].id);
}

static void a_size_is_a_device_too(void **state)
{
    (void)state;
    assert_int_equal(deployment("24GiB").group[0].device.memory_bytes, 25769803776);
    assert_int_equal(deployment("24GB").group[0].device.memory_bytes, 24000000000);
    assert_int_equal(deployment("24000000000").group[0].device.usable_bytes, 24000000000);
    assert_int_equal(deployment("cpu-ddr5-6000-2ch 64GiB").group[0].device.memory_bytes, 64ull << 30);
    assert_int_equal(deployment("cpu-ddr5-6000-2ch 64GiB").group[0].device.kind, OOM_DEVICE_CPU);
}

static void a_bad_deployment_is_one_line(void **state)
{
    char longest[200];
    oom_deployment d;
    oom_error err;

    (void)state;
    says("rtx-4091", "no device \"rtx-4091\"; did you mean \"rtx-4090\", \"rtx-3090\" or \"rtx-4060\"?");
    says("24G", "\"24G\": expected a size such as 24GiB, 24GB or 16384MiB");
    says("24", "a device of 24 bytes? a size needs its unit: 24GiB");
    says("0x 4090", "expected 1 to 128 devices");
    says("129x 4090", "expected 1 to 128 devices");
    says("99999999999999999999x 4090", "expected 1 to 128 devices");
    says("100x 4090 + 29x 3090", "expected 1 to 128 devices");
    says("", "no device named; expected \"rtx-4090\", \"2x h100-sxm\" or a size such as 24GiB");
    says("4090 +", "\"4090 +\": expected a device on both sides of +");
    assert_int_equal(read_deployment(c, "rtx-4090 16GB", &d, &err), OOM_NOTFOUND);
    assert_int_equal(read_deployment(c, "rtx-4090 48GB", &d, &err), OOM_NOTFOUND);
    says("cpu-ddr5-6000-2ch 64BB", "\"64BB\": expected a size such as 24GiB, 24GB or 16384MiB");
    memset(longest, 'x', sizeof longest);
    strcpy(longest + 140, " 24GiB");
    assert_int_equal(read_deployment(c, longest, &d, &err), OOM_NOTFOUND);
    strcpy(longest + 140, " windows");
    assert_int_equal(read_deployment(c, longest, &d, &err), OOM_NOTFOUND);
    memset(longest, 'x', sizeof longest);
    longest[170] = '\0';
    assert_int_equal(read_deployment(c, longest, &d, &err), OOM_BADVALUE);
    assert_non_null(strstr(err.msg, "expected a device name shorter than that"));
    says("cpu-ddr5-6000-2ch", "cpu-ddr5-6000-2ch: how much memory? say \"cpu-ddr5-6000-2ch 64GiB\"");
}

/* ---- the machine ---- */

/* As nvidia-smi prints them for --query-gpu=name,memory.total,compute_cap. */
static void the_text_of_nvidia_smi_is_read(void **state)
{
    local_device list[4];
    const read_preset *p;
    oom_device d;

    (void)state;
    assert_int_equal(local_from_smi("NVIDIA GeForce RTX 4090, 24564, 8.9\nNVIDIA H100 80GB HBM3, 81559, 9.0\n"
                                    "Tesla K80, 11441\nNo devices were found\n", list, 4), 3);
    assert_string_equal(list[1].name, "NVIDIA H100 80GB HBM3");
    assert_string_equal(list[1].capability, "9.0");
    assert_int_equal(list[1].memory_bytes, 81559 * MIB);
    assert_string_equal(list[2].capability, "");
    p = read_device_preset(c, list[0].name, NULL);
    assert_non_null(p);
    device_from_local(p, &list[0], &d);
    assert_string_equal(d.id, "rtx-4090");
    assert_int_equal(d.usable_bytes, 25254407700);
    list[0].usable_bytes = 24080 * MIB;
    device_from_local(p, &list[0], &d);
    assert_int_equal(d.usable_bytes, 24080 * MIB);
    /* a card that no preset knows: by rule */
    device_from_local(NULL, &list[2], &d);
    assert_string_equal(d.id, "Tesla K80");
    assert_int_equal(d.usable_bytes, 11441 * MIB - (1ull << 30) * 4 / 10);
}

static void a_machine_without_gpus_is_its_memory(void **state)
{
    local_device d;

    (void)state;
    assert_true(local_from_meminfo("MemTotal:       24683840 kB\nMemFree: 1 kB\n",
                                   "processor : 0\nmodel name\t: AMD EPYC 7B13\nflags: x\n", &d));
    assert_int_equal(d.memory_bytes, 24683840ull * 1024);
    assert_int_equal(d.kind, OOM_DEVICE_CPU);
    assert_string_equal(d.name, "AMD EPYC 7B13");
    assert_false(local_from_meminfo("", "", &d));
}

static void local_is_this_machine(void **state)
{
    oom_deployment d = deployment("local");

    (void)state;
    assert_true(d.n >= 1 && d.n_groups >= 1);
    assert_true(d.group[0].device.memory_bytes >= 256 * MIB);
    assert_true(d.group[0].device.usable_bytes <= d.group[0].device.memory_bytes);
}

/* ---- a catalogue of our own ---- */

typedef struct { const char *text[2]; } shelf_of_two;

static bool from_shelf(void *ctx, const char *where, size_t i, const char **name, const char **text,
                       size_t *n)
{
    shelf_of_two *s = ctx;

    if (strcmp(where, "presets/models") != 0 || i > 1 || !s->text[i])
        return false;
    *name = i == 0 ? "first.json" : "second.json";
    *text = s->text[i];
    *n = strlen(*text);
    return true;
}

static void the_first_file_with_an_id_wins(void **state)
{
    shelf_of_two s = { { "{\"vendor\": \"A\", \"models\": [{\"id\": \"m\", \"config\": {}}]}",
                         "{\"vendor\": \"B\", \"models\": [{\"id\": \"m\"}, {\"id\": \"a\", \"vendor\": \"C\"}]}" } };
    read_source source = { from_shelf, &s };
    read_catalogue *own = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    const read_preset *list;

    (void)state;
    assert_int_equal(read_models(own, &list, NULL), 2);
    assert_string_equal(list[0].vendor, "C");
    assert_string_equal(list[1].vendor, "A");
    read_catalogue_free(own);
}

/* Found by fuzzing: an error of two lines. */
static void a_suggestion_is_made_safe(void **state)
{
    shelf_of_two s = { { "{\"vendor\": \"A\", \"models\": [{\"id\": \"model\\n\"}]}", NULL } };
    read_source source = { from_shelf, &s };
    read_catalogue *own = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    oom_error err = { 0 };

    (void)state;
    assert_null(read_model_preset(own, "model", &err));
    assert_string_equal(err.msg, "no model \"model\"; did you mean \"model\\n\"?");
    read_catalogue_free(own);
}

static void a_catalogue_may_be_empty_or_large(void **state)
{
    static char text[64 * 1024];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"vendor\": \"A\", \"models\": [");
    shelf_of_two s = { { NULL, NULL } };
    read_source source = { from_shelf, &s };
    read_catalogue *own = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    const read_preset *list;
    oom_error err = { 0 };

    (void)state;
    assert_int_equal(read_models(own, &list, &err), 0);
    assert_null(read_model_preset(own, "m", &err));
    assert_string_equal(err.msg, "no model \"m\"; models() lists them");
    read_catalogue_free(own);
    for (int i = 0; i < 1500; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"id\": \"m%d\"}", i ? "," : "", i);
    snprintf(text + n, sizeof text - n, "]}");
    source.ctx = &(shelf_of_two){ { text, NULL } };
    own = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    assert_int_equal(read_models(own, &list, &err), 1500);
    assert_string_equal(read_model_preset(own, "M1499:latest", &err)->id, "m1499");
    read_catalogue_free(own);
}

static void names_that_are_no_text_are_no_names(void **state)
{
    shelf_of_two s = { { "{\"vendor\": \"A\", \"models\": ["
                         "{\"id\": \"first-model\", \"aliases\": \"other\"}, "
                         "{\"id\": \"second\", \"aliases\": [7, \"otherwise\"]}]}", NULL } };
    read_source source = { from_shelf, &s };
    read_catalogue *own = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    oom_model *m = NULL;
    oom_error err = { 0 };

    (void)state;
    assert_null(read_model_preset(own, "other", &err));
    assert_null(read_model_preset(own, "7", &err));
    assert_null(read_model_preset(own, "otherwisf", &err));
    assert_string_equal(err.msg, "no model \"otherwisf\"; did you mean \"second\"?");
    assert_int_equal(read_model(own, "second", &oom_libc_alloc, &m, &err), OOM_BADFILE);
    assert_string_equal(err.msg, "second: the preset has no \"config\"");
    read_catalogue_free(own);
}

static void a_broken_preset_file_is_named(void **state)
{
    static const char *const bad[][2] = {
        { "{\"vendor\": \"A\", \"models\": [{}]}", "first.json: record 1 has no \"id\"" },
        { "{\"vendor\": \"A\"}", "first.json: expected {\"vendor\": …, \"models\": […]}" },
        { "{\"vendor\": 7, \"models\": []}",
          "first.json: expected {\"vendor\": …, \"models\": […]}" },
        { "{\"vendor\": \"A\", \"models\": 7}",
          "first.json: expected {\"vendor\": …, \"models\": […]}" },
        { "[1", "first.json: line 1, column 3: the text ends too early" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        shelf_of_two s = { { bad[i][0], NULL } };
        read_source source = { from_shelf, &s };
        read_catalogue *own = read_catalogue_new(&source, &oom_libc_alloc, NULL);
        oom_error err = { 0 };

        const read_preset *list;

        assert_null(read_model_preset(own, "m", &err));
        assert_string_equal(err.msg, bad[i][1]);
        assert_int_equal(read_models(own, &list, &err), 0);
        read_catalogue_free(own);
    }
}

static oom_status look_up(const oom_alloc *a, void *ctx)
{
    shelf_of_two s = { { "{\"vendor\": \"A\", \"models\": [{\"id\": \"m\", \"aliases\": [\"n\"]}]}" } };
    read_source source = { from_shelf, &s };
    read_catalogue *own = read_catalogue_new(&source, a, ctx);
    oom_status status = OOM_OK;

    if (!own || !read_model_preset(own, "n", ctx))
        status = ((oom_error *)ctx)->status;
    read_catalogue_free(own);
    return status;
}

static void every_failed_allocation_is_an_error_and_no_leak(void **state)
{
    oom_error err;

    (void)state;
    assert_true(fail_each_allocation(look_up, &err) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(models_are_listed_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(a_model_answers_to_every_name_people_use, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_model_gets_the_nearest_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_has_three_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_record_leaves_out_follows_the_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(several_devices_are_one_deployment, setup, teardown),
        cmocka_unit_test_setup_teardown(devices_keep_the_order_they_are_written_in, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_answers_to_every_name_people_use, setup, teardown),
        cmocka_unit_test_setup_teardown(a_size_is_a_device_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_deployment_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(the_text_of_nvidia_smi_is_read, setup, teardown),
        cmocka_unit_test(a_machine_without_gpus_is_its_memory),
        cmocka_unit_test_setup_teardown(local_is_this_machine, setup, teardown),
        cmocka_unit_test(the_first_file_with_an_id_wins),
        cmocka_unit_test(a_suggestion_is_made_safe),
        cmocka_unit_test(a_broken_preset_file_is_named),
        cmocka_unit_test(a_catalogue_may_be_empty_or_large),
        cmocka_unit_test(names_that_are_no_text_are_no_names),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
