/* local.h: the devices of this machine. */
#ifndef READ_LOCAL_H
#define READ_LOCAL_H

#include "read.h"

/* What the machine says of one device; the rest comes from the preset of that name. */
typedef struct {
    char name[96];
    char capability[8];             /* "8.9"; empty: not CUDA */
    const char *vendor;
    oom_device_kind kind;
    uint64_t memory_bytes;
    uint64_t usable_bytes;          /* 0: not said */
    uint64_t free_bytes;            /* now; 0: not said */
} local_device;

/* Where the machine is asked: the system's own places, or a test's. */
typedef struct { const char *nvml, *smi, *proc, *sys; } local_places;
extern const local_places local_system;

/* With `gpus` all of them, or the processor where there is none; otherwise the processor. */
oom_status read_local(read_catalogue *c, const local_places *where, bool gpus,
                      oom_deployment *out, oom_error *err);

/* The parts that read text, apart for tests. Each appends to `list` and returns how many. */
size_t local_from_smi(const char *text, local_device *list, size_t room);
bool local_from_meminfo(const char *meminfo, const char *cpuinfo, local_device *out);

/* The preset's device with what the machine said put in (device.c). */
void device_from_local(const read_preset *p, const local_device *said, oom_device *out);

/* Appends `count` of a device: to the last run of equal ones where it is the same, else as a new
 * run, for layers are dealt in this order. Of free memory the least is kept (device.c). */
oom_status device_add(oom_deployment *out, const oom_device *d, uint32_t count, oom_error *err);

#endif
