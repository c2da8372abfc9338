/* torch.c: what torch takes beside the tensors that an engine asks for. */
#include "torch.h"

#include <string.h>
#include <strings.h>

#define MIB ((uint64_t)1 << 20)

/* From 10 MiB on a tensor has a segment of its own, of whole 2 MiB, of which what is left stays
 * with it unless it is more than 1 MiB (CUDACachingAllocator.cpp: get_allocation_size,
 * should_split). Smaller ones share segments, nearly without loss. */
uint64_t torch_slack(uint64_t bytes)
{
    uint64_t left = pad_up(bytes, 2 * MIB) - bytes;

    return bytes < 10 * MIB || bytes == SAT_TOOLARGE || left > MIB ? 0 : left;
}

uint64_t torch_codes(const oom_tensor *t, uint64_t whole, uint64_t bytes)
{
    uint64_t bits = t->params ? whole / t->params * 8 + whole % t->params * 8 / t->params : 0;
    uint64_t width = bits >= 32 ? 32 : bits >= 16 ? 16 : bits >= 8 ? 8 : bits;

    if (!whole || !bits || whole == SAT_TOOLARGE || bytes == SAT_TOOLARGE)
        return 0;
    return (uint64_t)((double)bytes * ((double)t->params * (double)width / 8) / (double)whole);
}

/* Hopper and its successors of the data centre: 70 GiB and more, but the A100's 80. */
bool torch_large_device(const oom_device *d)
{
    return !d || (d->memory_bytes >= 70 * ((uint64_t)1 << 30)
                  && strncasecmp(d->id, "a100", 4) != 0);
}

/* CUDABlas.cpp, CublasHandlePool.cpp: parseChosenWorkspaceSize: 32 MiB from Hopper on, 8.125
 * before; 128 on MI300 and its successors, 32 on AMD's others. Devices of unknown make: by their
 * size. */
uint64_t torch_library_bytes(const oom_device *d)
{
    const uint64_t small = 4096 * 1024 * 2 + 16 * 1024 * 8;

    if (d && strcasecmp(d->vendor, "AMD") == 0)
        return strncasecmp(d->id, "mi3", 3) == 0 ? 128 * MIB : 32 * MIB;
    if (d && (d->kind == OOM_DEVICE_CPU || d->kind == OOM_DEVICE_ACCELERATOR))
        return 0;
    if (d && d->capability)
        return d->capability >= 90 ? 32 * MIB : small;
    return torch_large_device(d) ? 32 * MIB : small;
}
