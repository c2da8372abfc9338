/* fake_nvml.c: stands in for NVIDIA's management library: two RTX 4090, of which the second is
 * partly used, and a device that does not answer. */
#include <stdio.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *n);
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle);
int nvmlDeviceGetName(void *handle, char *text, unsigned bytes);
int nvmlDeviceGetMemoryInfo(const void *handle, unsigned long long *memory);
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor);

static int cards[3];

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 3; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle)
{
    *handle = &cards[i];
    return i < 2 ? 0 : 15;              /* NVML_ERROR_GPU_IS_LOST */
}

int nvmlDeviceGetName(void *handle, char *text, unsigned bytes)
{
    (void)handle;
    snprintf(text, bytes, "NVIDIA GeForce RTX 4090");
    return 0;
}

/* struct nvmlMemory_st: total, free, used */
int nvmlDeviceGetMemoryInfo(const void *handle, unsigned long long *memory)
{
    memory[0] = 24564ull << 20;
    memory[1] = (handle == &cards[0] ? 24000ull : 20000ull) << 20;
    memory[2] = memory[0] - memory[1];
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor)
{
    (void)handle;
    *major = 8;
    *minor = 9;
    return 0;
}
