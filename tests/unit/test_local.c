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

static void nvidias_library_tells_total_and_free(void **state)
{
    const char *build = getenv("BUILD");
    char path[256];
    oom_deployment d;

    (void)state;
    snprintf(path, sizeof path, "%s/fake_nvml.so", build && *build ? build : "build");
    d = look(path, "false");
    assert_int_equal(d.n, 2);               /* the third is lost */
    assert_int_equal(d.n_groups, 1);
    assert_string_equal(d.group[0].device.id, "rtx-4090");
    assert_int_equal(d.group[0].device.memory_bytes, 24564 * MIB);
    assert_int_equal(d.group[0].device.free_bytes, 20000 * MIB);    /* the fuller one's */
    assert_true(d.group[0].device.bandwidth_bytes_per_s == 1008e9);
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

static void a_machine_without_a_gpu_is_its_memory(void **state)
{
    oom_deployment d;
    local_places where = places("/nonexistent.so", "false");
    oom_error err = { OOM_OK, "" };

    (void)state;
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
    assert_int_equal(read_deployment(s->catalogue, "rtx-4090 older", &d, &err), OOM_BADVALUE);
}

static void systems_keep_memory_back(void **state)
{
    (void)state;
    /* llama.cpp's logs: 28991.03 MB of 36 GB on an older macOS */
    assert_int_equal(device("m3 max 36gb older").usable_bytes, 27 * GIB);
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
