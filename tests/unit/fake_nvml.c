/* fake_nvml.c: stands in for NVIDIA's management library: two RTX 4090, of which the second is
 * partly used, and a device that does not answer. FAKE_NVML says what is otherwise: a letter for
 * each thing that fails ("i"nit, "c"ount, "n"ame, "m"emory, ca"p"ability) or is odd ("o": a
 * capability past all, "v": what the driver reserves is told, "l": more reserved than there is,
 * "h": a hundred devices). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *n);
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle);
int nvmlDeviceGetName(void *handle, char *text, unsigned bytes);
int nvmlDeviceGetMemoryInfo(const void *handle, unsigned long long *memory);
int nvmlDeviceGetMemoryInfo_v2(void *handle, unsigned long long *memory);
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor);

static int cards[3];

static int is(char c)
{
    const char *said = getenv("FAKE_NVML");

    return said && strchr(said, c);
}

int nvmlInit_v2(void) { return is('i'); }
int nvmlShutdown(void) { return 0; }

int nvmlDeviceGetCount_v2(unsigned *n)
{
    *n = is('h') ? 100 : 3;
    return is('c');
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle)
{
    *handle = &cards[i % 2];
    return i < 2 || is('h') ? 0 : 15;   /* NVML_ERROR_GPU_IS_LOST */
}

int nvmlDeviceGetName(void *handle, char *text, unsigned bytes)
{
    (void)handle;
    snprintf(text, bytes, " NVIDIA GeForce RTX 4090 ");
    return is('n');
}

/* struct nvmlMemory_st: total, free, used */
int nvmlDeviceGetMemoryInfo(const void *handle, unsigned long long *memory)
{
    memory[0] = 24564ull << 20;
    memory[1] = (handle == &cards[0] ? 24000ull : 20000ull) << 20;
    memory[2] = memory[0] - memory[1];
    return is('m');
}

/* struct nvmlMemory_v2_st: version, total, reserved, free, used */
int nvmlDeviceGetMemoryInfo_v2(void *handle, unsigned long long *memory)
{
    (void)handle;
    memory[1] = 24564ull << 20;
    memory[2] = (is('l') ? 30000ull : 512ull) << 20;
    memory[3] = 24000ull << 20;
    return !is('v');
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor)
{
    (void)handle;
    *major = is('o') ? 100 : 8;
    *minor = 9;
    return is('p');
}
