/* device = "local" on machines made of files, and words after a device's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "local.h"
#include "scene.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static scene *s;
static char root[64];

static void put(const char *name, const char *content)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    (void)state;
    s = scene_new();
    strcpy(root, "/tmp/oomph-local-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int end(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    scene_free(s);
    return system(command) != 0;
}

static local_places places(const char *nvml, const char *smi)
{
    return (local_places){ nvml, smi, root, root };
}

static oom_deployment look(const char *nvml, const char *smi)
{
    oom_deployment d = { 0 };
    local_places where = places(nvml, smi);
    oom_error err = { OOM_OK, "" };

    if (read_local(s->catalogue, &where, true, &d, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return d;
}

static const char *fake_nvml(void)
{
    const char *build = getenv("BUILD");
    static char path[256];

    snprintf(path, sizeof path, "%s/fake_nvml.so", build && *build ? build : "build");
    return path;
}

static void nvidias_library_tells_total_and_free(void **state)
{
    oom_deployment d;

    (void)state;
    d = look(fake_nvml(), "false");
    assert_int_equal(d.n, 2);               /* the third is lost */
    assert_int_equal(d.n_groups, 1);
    assert_string_equal(d.group[0].device.id, "rtx-4090");
    assert_int_equal(d.group[0].device.memory_bytes, 24564 * MIB);
    assert_int_equal(d.group[0].device.free_bytes, 20000 * MIB);    /* the fuller one's */
    assert_true(d.group[0].device.bandwidth_bytes_per_s == 1008e9);
}

static void what_the_library_does_not_tell_is_not_needed(void **state)
{
    static const struct { const char *fails; uint32_t n; uint64_t free_mib; } cases[] = {
        { "p", 2, 20000 }, { "o", 2, 20000 }, { "v", 2, 24000 }, { "vl", 2, 24000 }, { "h", 32, 20000 },
    };
    oom_deployment d;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("FAKE_NVML", cases[i].fails, 1);
        d = look(fake_nvml(), "false");
        assert_int_equal(d.n, cases[i].n);
        assert_string_equal(d.group[0].device.id, "rtx-4090");
        assert_int_equal(d.group[0].device.free_bytes, cases[i].free_mib * MIB);
    }
    setenv("FAKE_NVML", "v", 1);        /* what the driver keeps is nobody's */
    assert_int_equal(look(fake_nvml(), "false").group[0].device.usable_bytes, (24564 - 512) * MIB);
    unsetenv("FAKE_NVML");
}

static void a_library_that_fails_is_as_good_as_none(void **state)
{
    static const char *const fails[] = { "i", "c", "n", "m" };

    (void)state;
    put("meminfo", "MemTotal: 16384 kB\n");
    for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) {
        setenv("FAKE_NVML", fails[i], 1);
        assert_int_equal(look(fake_nvml(), "false").group[0].device.kind, OOM_DEVICE_CPU);
    }
    unsetenv("FAKE_NVML");
    /* a library of another kind */
    assert_int_equal(look("libm.so.6", "false").group[0].device.kind, OOM_DEVICE_CPU);
}

static void lines_of_nvidia_smi_that_say_nothing_are_left_out(void **state)
{
    static const char text[] = "\nno comma\nA, none\nB, 0, 8.9, 0\nC, 99999999999999999, 8.9, 0\n"
        "D, 8192, 8.9, 9000\n   , 1024\nE, 4096\n";
    local_device list[4];

    (void)state;
    assert_int_equal(local_from_smi(text, list, 4), 3);
    assert_string_equal(list[0].name, "D");
    assert_int_equal(list[0].free_bytes, 0);        /* more than there is: not believed */
    assert_string_equal(list[1].name, "");
    assert_string_equal(list[2].capability, "");
    assert_int_equal(local_from_smi(text, list, 1), 1);
}

static void without_the_library_nvidia_smi_is_asked(void **state)
{
    oom_deployment d;

    (void)state;
    put("smi", "#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 9.0, 80000'\n");
    char command[96];
    snprintf(command, sizeof command, "sh %s/smi", root);
    d = look("/nonexistent.so", command);
    assert_int_equal(d.n, 1);
    assert_string_equal(d.group[0].device.id, "h100-sxm");
    assert_int_equal(d.group[0].device.free_bytes, 80000 * MIB);
}

static void amds_driver_tells_in_sysfs(void **state)
{
    oom_deployment d;

    (void)state;
    put("class/drm/card1/device/vendor", "0x1002\n");
    put("class/drm/card1/device/mem_info_vram_total", "25753026560\n");
    put("class/drm/card1/device/mem_info_vram_used", "1000000000\n");
    put("class/drm/card1/device/product_name", "AMD Radeon RX 7900 XTX\n");
    put("class/drm/card0/device/vendor", "0x8086\n");
    d = look("/nonexistent.so", "false");
    assert_int_equal(d.n, 1);
    assert_string_equal(d.group[0].device.id, "rx-7900-xtx");
    assert_int_equal(d.group[0].device.memory_bytes, 25753026560);
    assert_int_equal(d.group[0].device.usable_bytes, 25753026560);
    assert_int_equal(d.group[0].device.free_bytes, 24753026560);
}

static void a_card_that_says_less_is_called_by_its_number(void **state)
{
    oom_deployment d;

    (void)state;
    put("meminfo", "MemTotal: 16384 kB\n");
    put("class/drm/card3/device/vendor", "0x1002\n");
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.kind, OOM_DEVICE_CPU);
    put("class/drm/card3/device/mem_info_vram_total", "536870912\n");      /* an APU's share */
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.kind, OOM_DEVICE_CPU);
    put("class/drm/card3/device/mem_info_vram_total", "99999999999999999999\n");
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.kind, OOM_DEVICE_CPU);
    put("class/drm/card3/device/mem_info_vram_total", "8589934592\n");
    d = look("/nonexistent.so", "false");
    assert_string_equal(d.group[0].device.name, "AMD GPU 3");
    assert_int_equal(d.group[0].device.memory_bytes, 8 * GIB);
    assert_int_equal(d.group[0].device.free_bytes, 0);
    put("class/drm/card3/device/mem_info_vram_used", "9589934592\n");      /* more than all */
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.free_bytes, 0);
}

static void memory_that_is_no_number_is_no_memory(void **state)
{
    local_device d;

    (void)state;
    assert_false(local_from_meminfo("MemTotal: much kB\n", "", &d));
    assert_false(local_from_meminfo("MemTotal: 9999999999999999999 kB\n", "", &d));
    assert_true(local_from_meminfo("MemTotal: 10 kB\nMemAvailable: 20 kB\n", "model name", &d));
    assert_int_equal(d.free_bytes, 0);
    assert_string_equal(d.name, "processor");
}

static void more_kinds_of_device_than_a_deployment_holds_are_refused(void **state)
{
    char text[1024] = "#!/bin/sh\ncat <<E\n", command[96] = "";
    oom_deployment d;
    local_places where = places("/nonexistent.so", command);
    oom_error err;

    (void)state;
    for (int i = 0; i < 9; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "Card %d, %d\n", i, 1024 + i);
    put("smi", strcat(text, "E\n"));
    snprintf(command, sizeof command, "sh %s/smi #", root);
    assert_int_equal(read_local(s->catalogue, &where, true, &d, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "expected at most 8 runs of equal devices");
}

static void a_machine_without_a_gpu_is_its_memory(void **state)
{
    oom_deployment d;
    local_places where = places("/nonexistent.so", "false");
    oom_error err = { OOM_OK, "" };

    (void)state;
    assert_int_equal(read_local(s->catalogue, &where, true, &d, &err), OOM_NOTFOUND);
    put("meminfo", "nothing of the kind");
    assert_int_equal(read_local(s->catalogue, &where, true, &d, &err), OOM_NOTFOUND);
    put("meminfo", "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:   8192 kB\n");
    put("cpuinfo", "processor : 0\nmodel name\t: Some CPU @ 3 GHz\n");
    d = look("/nonexistent.so", "false");
    assert_int_equal(d.group[0].device.kind, OOM_DEVICE_CPU);
    assert_int_equal(d.group[0].device.memory_bytes, 16 * MIB);
    assert_int_equal(d.group[0].device.free_bytes, 8 * MIB);
    assert_string_equal(d.group[0].device.name, "Some CPU @ 3 GHz");
}

static void cpu_is_the_processor_beside_a_gpu_too(void **state)
{
    const char *build = getenv("BUILD");
    char path[256];
    oom_deployment d = { 0 };

    (void)state;
    put("meminfo", "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:   8192 kB\n");
    snprintf(path, sizeof path, "%s/fake_nvml.so", build && *build ? build : "build");
    assert_int_equal(look(path, "false").group[0].device.kind, OOM_DEVICE_GPU);
    local_places where = places(path, "false");
    assert_int_equal(read_local(s->catalogue, &where, false, &d, NULL), OOM_OK);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.group[0].device.kind, OOM_DEVICE_CPU);
    assert_int_equal(d.group[0].device.memory_bytes, 16 * MIB);
}

static void a_containers_limit_is_what_it_has(void **state)
{
    (void)state;
    put("meminfo", "MemTotal:       16384 kB\nMemAvailable:   8192 kB\n");
    put("fs/cgroup/memory.max", "max\n");
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.memory_bytes, 16 * MIB);
    put("fs/cgroup/memory.max", "0\n");
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.memory_bytes, 16 * MIB);
    put("fs/cgroup/memory.max", "16777217\n");
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.memory_bytes, 16 * MIB);
    put("fs/cgroup/memory.max", "4194304\n");
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.memory_bytes, 4 * MIB);
    assert_int_equal(look("/nonexistent.so", "false").group[0].device.free_bytes, 4 * MIB);
}

static oom_device device(const char *spec)
{
    oom_deployment d;
    oom_error err = { OOM_OK, "" };

    if (read_deployment(s->catalogue, spec, &d, &err) != OOM_OK)
        fail_msg("%s: %s", spec, err.msg);
    return d.group[0].device;
}

static void a_slice_of_a_gpu_has_the_memory_that_nvidia_lists(void **state)
{
    oom_device d = device("h100-sxm mig 1g.10gb");

    (void)state;
    assert_int_equal(d.memory_bytes, 9 * GIB + GIB * 3 / 4);        /* nvidia-smi mig -lgip: 9.75 */
    assert_true(d.bandwidth_bytes_per_s == device("h100-sxm").bandwidth_bytes_per_s / 8);
    assert_true(d.fp16_flops == device("h100-sxm").fp16_flops / 7);
    assert_int_equal(device("H100 MIG 3g.40gb").memory_bytes, GIB / 8 * 315);   /* 39.38 */
    assert_int_equal(device("a100-pcie-80gb mig 3g.40gb").memory_bytes, GIB / 4 * 157); /* 39.25 */
    assert_int_equal(device("b200 mig 2g.45gb").memory_bytes, GIB / 4 * 177);   /* 44.25 */
    /* by rule, where no listing was found: an eighth of what a process can get of the whole */
    assert_int_equal(device("h200-sxm mig 1g.18gb").memory_bytes,
                     device("h200-sxm").usable_bytes / 8);
    assert_false(device("h200-sxm mig 1g.18gb").usable_known);
}

static void slices_that_do_not_exist_are_refused(void **state)
{
    oom_deployment d;
    oom_error err;

    (void)state;
    assert_int_equal(read_deployment(s->catalogue, "rtx-4090 mig 1g.5gb", &d, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "rtx-4090 has no MIG slices");
    assert_int_equal(read_deployment(s->catalogue, "h100-sxm mig 1g.17gb", &d, &err), OOM_BADVALUE);
    assert_int_equal(read_deployment(s->catalogue, "h100-sxm mig 7g.10gb", &d, &err), OOM_OK);
    assert_int_equal(read_deployment(s->catalogue, "h100-sxm mig 8g.80gb", &d, &err), OOM_BADVALUE);
    assert_non_null(strstr(err.msg, "h100-sxm has no MIG slice 8g.80gb"));
    assert_int_equal(read_deployment(s->catalogue, "2x h100-sxm mig 1g.10gb+me + l4", &d, &err),
                     OOM_OK);
    assert_int_equal(d.n, 3);
    assert_string_equal(d.group[1].device.id, "l4");
    assert_int_equal(read_deployment(s->catalogue, "l4+mex", &d, &err), OOM_NOTFOUND);
    assert_non_null(strstr(err.msg, "no device \"mex\""));
    for (size_t i = 0; i < 4; i++) {
        static const char *const none[] = { "h100-sxm mig 0g.10gb", "h100-sxm mig 1g.0gb",
                                            "h100-sxm mig 1g.10", "h100-sxm mig 1g.10gbx" };

        assert_int_equal(read_deployment(s->catalogue, none[i], &d, &err), OOM_NOTFOUND);
    }
    assert_int_equal(read_deployment(s->catalogue, "rtx-4091 windows", &d, &err), OOM_BADVALUE);
    assert_non_null(strstr(err.msg, "no device \"rtx-4091\""));
    assert_int_equal(read_deployment(s->catalogue, "rtx-4090 older", &d, &err), OOM_BADVALUE);
}

static void systems_keep_memory_back(void **state)
{
    (void)state;
    /* llama.cpp's logs: 28991.03 MB of 36 GB on an older macOS */
    assert_int_equal(device("m3 max 36gb older").usable_bytes, 27 * GIB);
    assert_int_equal(device("m1-16gb older").usable_bytes, 16 * GIB / 3 * 2);
    assert_int_equal(device("m3-max-36gb").usable_bytes, 28753 * MIB);
    assert_int_equal(device("rtx-4090 windows").usable_bytes,
                     device("rtx-4090").memory_bytes - device("rtx-4090").memory_bytes / 100 * 8);
    assert_int_equal(device("8GiB windows").usable_bytes, 7 * GIB);
    assert_true(device("rtx-3060-12gb desktop").usable_bytes < device("rtx-3060-12gb").usable_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nvidias_library_tells_total_and_free, begin, end),
        cmocka_unit_test_setup_teardown(what_the_library_does_not_tell_is_not_needed, begin, end),
        cmocka_unit_test_setup_teardown(a_library_that_fails_is_as_good_as_none, begin, end),
        cmocka_unit_test_setup_teardown(lines_of_nvidia_smi_that_say_nothing_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(a_card_that_says_less_is_called_by_its_number, begin, end),
        cmocka_unit_test_setup_teardown(memory_that_is_no_number_is_no_memory, begin, end),
        cmocka_unit_test_setup_teardown(more_kinds_of_device_than_a_deployment_holds_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(without_the_library_nvidia_smi_is_asked, begin, end),
        cmocka_unit_test_setup_teardown(amds_driver_tells_in_sysfs, begin, end),
        cmocka_unit_test_setup_teardown(cpu_is_the_processor_beside_a_gpu_too, begin, end),
        cmocka_unit_test_setup_teardown(a_machine_without_a_gpu_is_its_memory, begin, end),
        cmocka_unit_test_setup_teardown(a_containers_limit_is_what_it_has, begin, end),
        cmocka_unit_test_setup_teardown(a_slice_of_a_gpu_has_the_memory_that_nvidia_lists, begin, end),
        cmocka_unit_test_setup_teardown(slices_that_do_not_exist_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(systems_keep_memory_back, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
