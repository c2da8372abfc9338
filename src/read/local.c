/* local.c: device = "local". NVIDIA's management library is asked where it is installed (opened at
 * run time, never linked), nvidia-smi where only that is; AMD's driver says in /sys, macOS by
 * sysctl; a machine without any of them is its processor and memory. */
#include "local.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#define MIB ((uint64_t)1 << 20)
enum { MOST = 32 };                 /* of one machine */

const local_places local_system = { "libnvidia-ml.so.1", "nvidia-smi", "/proc", "/sys" };

static void set_name(local_device *d, const char *s, size_t n)
{
    while (n && isspace((unsigned char)*s))
        s++, n--;
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    snprintf(d->name, sizeof d->name, "%.*s", (int)n, s);
}

/* ---- NVIDIA ---- */

/* nvml.h, as of driver 510: version 2 tells what the driver keeps for itself. */
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } nvml_memory;
typedef struct { unsigned long long total, free, used; } nvml_memory_v1;

typedef struct {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *);
    int (*handle)(unsigned, void **);
    int (*name)(void *, char *, unsigned);
    int (*memory)(void *, nvml_memory *);
    int (*memory_v1)(void *, nvml_memory_v1 *);
    int (*capability)(void *, int *, int *);
} nvml;

static bool nvml_bind(void *library, nvml *n)
{
    const struct { const char *symbol; void **to; } wanted[] = {
        { "nvmlInit_v2", (void **)&n->init },
        { "nvmlShutdown", (void **)&n->shutdown },
        { "nvmlDeviceGetCount_v2", (void **)&n->count },
        { "nvmlDeviceGetHandleByIndex_v2", (void **)&n->handle },
        { "nvmlDeviceGetName", (void **)&n->name },
        { "nvmlDeviceGetMemoryInfo", (void **)&n->memory_v1 },
        { "nvmlDeviceGetCudaComputeCapability", (void **)&n->capability },
    };

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!(*wanted[i].to = dlsym(library, wanted[i].symbol)))
            return false;
    *(void **)&n->memory = dlsym(library, "nvmlDeviceGetMemoryInfo_v2");
    return true;
}

static bool nvml_device(const nvml *n, unsigned i, local_device *d)
{
    nvml_memory memory = { .version = (unsigned)(sizeof(nvml_memory) | 2u << 24) };
    nvml_memory_v1 old;
    char name[96] = "";
    int major = 0, minor = 0;
    void *handle;

    *d = (local_device){ .vendor = "NVIDIA", .kind = OOM_DEVICE_GPU };
    if (n->handle(i, &handle) != 0 || n->name(handle, name, sizeof name) != 0)
        return false;
    set_name(d, name, strlen(name));
    if (n->memory && n->memory(handle, &memory) == 0) {
        d->memory_bytes = memory.total;
        d->usable_bytes = memory.total > memory.reserved ? memory.total - memory.reserved : 0;
        d->free_bytes = memory.free;
    } else if (n->memory_v1(handle, &old) == 0) {
        d->memory_bytes = old.total;
        d->free_bytes = old.free;
    }
    if (n->capability(handle, &major, &minor) == 0 && major > 0 && major < 100 && minor >= 0 &&
        minor < 10)
        snprintf(d->capability, sizeof d->capability, "%d.%d", major, minor);
    return d->memory_bytes > 0;
}

static size_t from_nvml(const char *path, local_device *list, size_t room)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    size_t found = 0;
    unsigned count = 0;
    nvml n;

    if (!library)
        return 0;
    if (nvml_bind(library, &n) && n.init() == 0) {
        if (n.count(&count) == 0)
            for (unsigned i = 0; i < count && found < room; i++)
                found += nvml_device(&n, i, &list[found]);
        n.shutdown();
    }
    dlclose(library);
    return found;
}

/* "NVIDIA GeForce RTX 4090, 24564, 8.9, 23818" */
size_t local_from_smi(const char *text, local_device *list, size_t room)
{
    size_t found = 0;

    for (const char *line = text; *line && found < room;) {
        size_t n = strcspn(line, "\n");
        const char *comma = memchr(line, ',', n);
        local_device d = { .vendor = "NVIDIA", .kind = OOM_DEVICE_GPU };
        char total[20], capability[8] = "", unused[20] = "";
        uint64_t mib = 0, free_mib;

        if (comma && sscanf(comma + 1, " %19[0-9] , %7[0-9.] , %19[0-9]", total, capability,
                            unused) >= 1)
            mib = strtoull(total, NULL, 10);
        if (mib > 0 && mib <= OOM_MAX_BYTES / MIB) {
            set_name(&d, line, (size_t)(comma - line));
            snprintf(d.capability, sizeof d.capability, "%s", capability);
            d.memory_bytes = mib * MIB;
            free_mib = strtoull(unused, NULL, 10);
            d.free_bytes = free_mib <= mib ? free_mib * MIB : 0;
            list[found++] = d;
        }
        line += n + (line[n] == '\n');
    }
    return found;
}

static size_t from_smi(const char *command, local_device *list, size_t room)
{
    char text[4096];
    size_t n;
    FILE *f;

    snprintf(text, sizeof text, "%s --query-gpu=name,memory.total,compute_cap,memory.free "
             "--format=csv,noheader,nounits 2>/dev/null", command);
    f = popen(text, "r");
    if (!f)
        return 0;
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    return pclose(f) == 0 ? local_from_smi(text, list, room) : 0;
}

/* ---- AMD ---- */

static bool drm_file(const char *sys, int card, const char *name, char *text, size_t text_bytes)
{
    char path[512];

    snprintf(path, sizeof path, "%s/class/drm/card%d/device/%s", sys, card, name);
    return read_small(path, text, text_bytes);
}

static size_t from_drm(const char *sys, local_device *list, size_t room)
{
    size_t found = 0;

    for (int card = 0; card < 64 && found < room; card++) {
        char text[128];
        uint64_t used;
        local_device d = { .vendor = "AMD", .kind = OOM_DEVICE_GPU };

        if (!drm_file(sys, card, "vendor", text, sizeof text) || strtoul(text, NULL, 16) != 0x1002
            || !drm_file(sys, card, "mem_info_vram_total", text, sizeof text))
            continue;
        d.memory_bytes = d.usable_bytes = strtoull(text, NULL, 10);
        used = drm_file(sys, card, "mem_info_vram_used", text, sizeof text)
             ? strtoull(text, NULL, 10) : d.memory_bytes;
        d.free_bytes = used < d.memory_bytes ? d.memory_bytes - used : 0;
        if (drm_file(sys, card, "product_name", text, sizeof text))
            set_name(&d, text, strlen(text));
        else
            snprintf(d.name, sizeof d.name, "AMD GPU %d", card);
        /* an APU's own memory is the small part of RAM that the firmware set aside */
        if (d.memory_bytes >= 2048 * MIB && d.memory_bytes <= OOM_MAX_BYTES)
            list[found++] = d;
    }
    return found;
}

/* ---- macOS ---- */

#ifdef __APPLE__
static bool from_sysctl(local_device *d)
{
    char name[96] = "";
    uint64_t bytes = 0, limit_mib = 0;
    size_t n = sizeof bytes, n_name = sizeof name - 1, n_limit = sizeof limit_mib;

    if (sysctlbyname("hw.memsize", &bytes, &n, NULL, 0) != 0 ||
        sysctlbyname("machdep.cpu.brand_string", name, &n_name, NULL, 0) != 0)
        return false;
    *d = (local_device){ .vendor = "Apple", .kind = OOM_DEVICE_UNIFIED, .memory_bytes = bytes };
    snprintf(d->name, sizeof d->name, "%s %lluGB", name, (unsigned long long)(bytes >> 30));
    /* 0: the default, which the preset knows */
    if (sysctlbyname("iogpu.wired_limit_mb", &limit_mib, &n_limit, NULL, 0) == 0)
        d->usable_bytes = limit_mib * MIB;
    return true;
}
#else
static bool from_sysctl(local_device *d) { (void)d; return false; }
#endif

/* ---- the processor ---- */

/* "MemTotal:       24683840 kB", where kB are 1024 bytes. */
static uint64_t kib_of(const char *meminfo, const char *key)
{
    const char *at = strstr(meminfo, key);
    uint64_t kib = at ? strtoull(at + strlen(key), NULL, 10) : 0;

    return kib <= OOM_MAX_BYTES / 1024 ? kib : 0;
}

bool local_from_meminfo(const char *meminfo, const char *cpuinfo, local_device *out)
{
    const char *model = strstr(cpuinfo, "model name");
    uint64_t total = kib_of(meminfo, "MemTotal:") * 1024;
    uint64_t unused = kib_of(meminfo, "MemAvailable:") * 1024;

    if (total == 0)
        return false;
    *out = (local_device){ .vendor = "generic", .kind = OOM_DEVICE_CPU, .name = "processor",
                           .memory_bytes = total, .usable_bytes = total,
                           .free_bytes = unused < total ? unused : 0 };
    model = model ? strchr(model, ':') : NULL;
    if (model)
        set_name(out, model + 1, strcspn(model + 1, "\n"));
    return true;
}

/* A container's limit is what its processes can have. */
static void limit_by_cgroup(const char *sys, local_device *d)
{
    char path[512], text[64];
    uint64_t most;

    snprintf(path, sizeof path, "%s/fs/cgroup/memory.max", sys);
    if (!read_small(path, text, sizeof text) || !isdigit((unsigned char)*text))
        return;
    most = strtoull(text, NULL, 10);
    if (most == 0 || most >= d->memory_bytes)
        return;
    d->memory_bytes = d->usable_bytes = most;
    d->free_bytes = d->free_bytes < most ? d->free_bytes : most;
}

static bool from_proc(const local_places *where, local_device *d)
{
    char path[512], meminfo[4096], cpuinfo[4096];

    snprintf(path, sizeof path, "%s/meminfo", where->proc);
    if (!read_small(path, meminfo, sizeof meminfo))
        return false;
    snprintf(path, sizeof path, "%s/cpuinfo", where->proc);
    if (!read_small(path, cpuinfo, sizeof cpuinfo))
        cpuinfo[0] = '\0';
    if (!local_from_meminfo(meminfo, cpuinfo, d))
        return false;
    limit_by_cgroup(where->sys, d);
    return true;
}

/* ---- the whole ---- */

/* The preset of this name; where there are several sizes of it, the one of this size. */
static const read_preset *preset_of(read_catalogue *c, const local_device *d, oom_error *err)
{
    char sized[128];
    const read_preset *p;

    snprintf(sized, sizeof sized, "%.95s %lluGB", d->name,
             (unsigned long long)((d->memory_bytes + 512 * MIB) >> 30));
    p = read_device_preset(c, sized, NULL);
    return p ? p : read_device_preset(c, d->name, err);
}

static size_t from_gpus(const local_places *where, local_device *list, size_t room)
{
    size_t n = from_nvml(where->nvml, list, room);

    if (n == 0)
        n = from_smi(where->smi, list, room);
    return n + from_drm(where->sys, list + n, room - n);
}

oom_status read_local(read_catalogue *c, const local_places *where, bool gpus,
                      oom_deployment *out, oom_error *err)
{
    local_device list[MOST];
    oom_deployment found = { 0 };
    size_t n = gpus ? from_gpus(where, list, MOST) : 0;

    if (n == 0)
        n = from_sysctl(list);
    if (n == 0)
        n = from_proc(where, list);
    if (n == 0)
        return oom_fail(err, OOM_NOTFOUND, "local: this machine does not say what it has");
    for (size_t i = 0; i < n; i++) {
        oom_error why = { 0 };
        const read_preset *p = preset_of(c, &list[i], &why);
        oom_device d;
        oom_status status;

        if (!p && why.status != OOM_NOTFOUND)
            return oom_fail(err, why.status, "%s", why.msg);
        device_from_local(p, &list[i], &d);
        if ((status = device_add(&found, &d, 1, err)) != OOM_OK)
            return status;
    }
    *out = found;
    return OOM_OK;
}
