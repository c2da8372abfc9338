/* device.c: what a device keeps back, by rule. The figures are collected from public logs; where
 * a preset has the measured value of its device, that is used instead. */
#include "oom.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static bool is(const char *a, const char *b) { return a && strcasecmp(a, b) == 0; }

/* NVIDIA's driver reports more than a process can allocate ("FB reserved" of nvidia-smi -q).
 * Differences between nvidia-smi's total and the total capacity in torch's messages: V100 236 to
 * 276 MiB, RTX 3060 380, T4 451, RTX 3090 451, L4 475, RTX 4090 480, RTX 5090 518, H100 550,
 * A6000 602, L40S 613, RTX 6000 Ada 631, B200 729, A100-80 881; it moves by up to 150 MiB from
 * driver to driver. Here as steps by size. AMD, Intel, Apple and TPUs report what can be had. */
uint64_t oom_device_reserve(const char *vendor, const char *capability, uint64_t memory_bytes)
{
    if (!is(vendor, "nvidia"))
        return 0;
    if (is(capability, "7.0"))
        return GIB / 4;                                         /* Volta */
    if (is(capability, "8.0") && memory_bytes > 64 * GIB)
        return GIB * 9 / 10;                                    /* A100-80 */
    if (memory_bytes < 14 * GIB)
        return GIB * 4 / 10;                                    /* 8 to 12 GB */
    if (memory_bytes < 40 * GIB)
        return GIB / 2;                                         /* 16 to 32 GB */
    return memory_bytes < 150 * GIB ? GIB * 6 / 10 : 729 * MIB;
}

/* What a process takes beside its tensors, in GiB of the middle of what was seen: A100 0.47 (torch
 * 2.1, lazy loading), RTX 6000 Ada 426 MiB (torch 2.10), RTX 5060 Ti 334 MiB; the other
 * generations are recollections: Pascal and Turing 0.15 to 0.3, Volta 0.3 to 0.45, Ampere
 * 0.35 to 0.5, Hopper 0.5 to 0.6, Blackwell of the data centre 0.6 to 0.8. MI300X idles at 0.28
 * GiB. Elsewhere the footprint that gguf-parser adds: 150 MiB unified, 250 MiB discrete. */
uint64_t oom_device_context(oom_device_kind kind, const char *vendor, const char *capability)
{
    static const struct { double at_least; uint64_t bytes; } cuda[] = {
        { 12.0, 334 * MIB },            /* GeForce and RTX PRO Blackwell, GB10 */
        { 10.0, GIB * 7 / 10 },         /* B200, B300 */
        { 9.0, GIB * 55 / 100 },        /* Hopper */
        { 8.9, 426 * MIB },             /* Ada */
        { 8.6, GIB * 425 / 1000 },      /* GeForce and RTX Ampere, Orin */
        { 8.0, GIB * 47 / 100 },        /* A100 */
        { 7.5, GIB * 225 / 1000 },      /* Turing */
        { 7.0, GIB * 375 / 1000 },      /* Volta */
        { 0.0, GIB * 225 / 1000 },      /* Pascal */
    };

    if (kind == OOM_DEVICE_CPU)
        return 150 * MIB;
    if (is(vendor, "nvidia") && capability) {
        double c = strtod(capability, NULL);

        for (size_t i = 0; i < sizeof cuda / sizeof *cuda; i++)
            if (c >= cuda[i].at_least)
                return cuda[i].bytes;
    }
    if (is(vendor, "amd"))
        return GIB * 28 / 100;
    return kind == OOM_DEVICE_UNIFIED ? 150 * MIB : 250 * MIB;
}

uint32_t oom_device_capability(const char *capability)
{
    double c = capability ? strtod(capability, NULL) : 0;

    return c > 0 && c < 100 ? (uint32_t)(c * 10 + 0.5) : 0;
}
